"""Feature Store: the latest features online for lookups, all of their history offline on S3."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="feature_store",
    number=6,
    title="Feature Store",
    summary="an online store for lookups, an offline store on S3, time travel over both",
)
