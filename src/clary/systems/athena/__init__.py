"""Athena: SQL straight on the objects of S3, through the Glue catalog."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="athena",
    title="Athena",
    summary="SQL straight on S3 objects through the Glue catalog; nothing to load",
    number=12,
)
