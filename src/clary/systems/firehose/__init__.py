"""Firehose: what is sent to it comes to rest where it belongs, without a consumer to write."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="firehose",
    title="Firehose",
    summary="buffers records durably, transforms them on the way, and delivers them to S3 and to web servers",
    number=23,
)
