"""Lambda: functions that run when they are called."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="lambda",
    title="Lambda",
    summary="runs Python functions from a zip when they are called, at once or by way of a queue, in warm interpreters",
)
