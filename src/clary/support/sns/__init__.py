"""SNS: notifications to whoever subscribed."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="sns",
    title="SNS",
    summary="topics that deliver what is published to queues, web servers and functions, filtered, signed and retried",
)
