"""Batch Transform: score every record of a data set in S3, without an endpoint."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="batch_transform",
    number=4,
    title="Batch Transform",
    summary="scores every record of an S3 dataset without an endpoint, then shuts down",
)
