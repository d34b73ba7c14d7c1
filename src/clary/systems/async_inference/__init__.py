"""Async Inference: large or slow requests wait in a queue, and their answers are found in S3."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="async_inference",
    title="Async Inference",
    summary="queues large or slow requests, answers into S3 with a notification, and needs no instance while idle",
    number=5,
)
