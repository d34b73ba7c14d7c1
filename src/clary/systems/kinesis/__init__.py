"""Kinesis Data Streams: ordered shards, many consumers, retention and replay."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="kinesis",
    title="Kinesis Data Streams",
    summary="ordered shards, many consumers, retention and replay",
    number=22,
)
