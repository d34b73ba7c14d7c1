"""Training Jobs: one managed run of an algorithm or script, from data in S3 to a model in S3."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="training",
    number=1,
    title="Training Jobs",
    summary="one managed run: data from S3 in, an algorithm or container runs, a model artifact goes back to S3",
)
