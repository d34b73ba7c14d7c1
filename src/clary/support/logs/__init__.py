"""CloudWatch Logs: where jobs, endpoints and clients write lines, and where they are read and searched."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="logs",
    title="CloudWatch Logs",
    summary="log groups and streams that any client writes, reads, searches, tails and turns into metrics",
)
