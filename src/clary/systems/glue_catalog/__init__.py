"""The Glue Data Catalog: what data lies where on S3, and how it is read."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="glue_catalog",
    title="Glue Data Catalog",
    summary="databases, tables with versions and partitions of data on S3, for any engine that asks a Glue catalog",
    number=8,
)
