"""S3: buckets and objects, for clients of the S3 API. The objects themselves are the kernel's."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="s3",
    title="S3",
    summary="keeps buckets of objects: durable, versioned, listed in order, and plain files on this machine's disk",
)
