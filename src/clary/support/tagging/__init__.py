"""Tags of SageMaker's resources, whichever room they belong to."""

from clary.kernel.rooms import Room

ROOM = Room(name="tagging", title="SageMaker tags", summary="tags on any SageMaker resource, by its ARN")
