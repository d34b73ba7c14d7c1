"""Search over SageMaker's resources, whichever room they belong to."""

from clary.kernel.rooms import Room

ROOM = Room(name="search", title="SageMaker search", summary="finds SageMaker resources by any of their properties")
