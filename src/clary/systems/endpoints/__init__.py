"""Real-Time Endpoints: models that stay up and answer while the caller waits."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="endpoints",
    title="Real-Time Endpoints",
    summary="synchronous answers from models that stay up; variants, weights, updates without a failed request",
    number=3,
)
