"""The model registry: versions of models that are packaged, validated, approved and deployed by their ARN."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="registry",
    title="Model Registry",
    summary="groups of versioned model packages with metrics and approval, deployed by ARN",
)
