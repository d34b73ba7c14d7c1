"""SQS: durable queues between programs."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="sqs",
    title="SQS",
    summary="durable queues, standard and FIFO, with long polling, delays, visibility timeouts and dead letters",
)
