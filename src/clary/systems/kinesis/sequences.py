"""Sequence numbers in AWS's form: 56 decimal digits that begin with 49, in hexadecimal

    2  <second the shard began, 9>  <shard, its last digit>  <offset, 16>  00  <second of arrival, 9>  <shard, 8>  2

so that they grow in a shard, children's are greater than their parents', and whoever gives one back names the offset
to go on at. The layout is AWS's as kinesalite documents it; offsets are those of `platform.streams`.
"""

from typing import NamedTuple

from clary.systems.kinesis.records import Shard

LAST_OFFSET = 2**63 - 1

_SHARD_BIT, _TIME_BIT, _OFFSET_BIT, _NIBBLE_BIT, _EPOCH_BIT, _LEAD_BIT = 4, 36, 80, 144, 148, 184
_MOST_DIGITS = 57


class Position(NamedTuple):
    """What a sequence number says. Times are epoch seconds."""

    shard: int
    epoch: int
    offset: int
    arrived: int


def base_of(shard: Shard) -> int:
    """What all sequence numbers of a shard have in common."""
    return (
        (2 << _LEAD_BIT)
        | (shard.epoch << _EPOCH_BIT)
        | ((shard.number & 15) << _NIBBLE_BIT)
        | ((shard.number & 0xFFFFFFFF) << _SHARD_BIT)
        | 2
    )


def sequence(base: int, offset: int, at_ms: int) -> str:
    return str(base + (offset << _OFFSET_BIT) + (at_ms // 1000 << _TIME_BIT))


def first_sequence(shard: Shard) -> str:
    """Less than all of a shard's."""
    return sequence(base_of(shard), 0, shard.epoch * 1000)


def last_sequence(shard: Shard) -> str | None:
    """Greater than all of a shard's; None while it is open."""
    return None if shard.closed_ms is None else sequence(base_of(shard), LAST_OFFSET, shard.closed_ms)


def read_sequence(text: str) -> Position | None:
    """What a sequence number says; None for what is none of ours."""
    if len(text) > _MOST_DIGITS:
        return None
    number = int(text)
    if number >> _LEAD_BIT != 2 or number & 15 != 2:
        return None
    shard, offset = number >> _SHARD_BIT & 0xFFFFFFFF, number >> _OFFSET_BIT & (2**64 - 1)
    if offset > LAST_OFFSET or number >> _NIBBLE_BIT & 15 != shard & 15:
        return None
    return Position(shard, number >> _EPOCH_BIT & (2**36 - 1), offset, number >> _TIME_BIT & (2**36 - 1))
