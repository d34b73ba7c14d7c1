"""Hashes of Trino that DuckDB has none of."""

import hmac
from collections.abc import Callable

_MASK = 0xFFFFFFFFFFFFFFFF
_P1, _P2, _P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P4, _P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_C1, _C2 = 0x87C37B91114253D5, 0x4CF5AD432745937F


def xxhash64(data: bytes) -> bytes:
    """XXH64 with the seed 0, its first byte the highest."""
    whole = len(data) // 32 * 32
    made = _P5
    if whole:
        lanes = [(_P1 + _P2) & _MASK, _P2, 0, -_P1 & _MASK]
        for at in range(0, whole, 8):
            lane = at // 8 % 4
            lanes[lane] = _round(lanes[lane], int.from_bytes(data[at : at + 8], "little"))
        made = sum(_turned(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
        for lane in lanes:
            made = ((made ^ _round(0, lane)) * _P1 + _P4) & _MASK
    made = (made + len(data)) & _MASK
    at = whole
    while at + 8 <= len(data):
        made ^= _round(0, int.from_bytes(data[at : at + 8], "little"))
        made = (_turned(made, 27) * _P1 + _P4) & _MASK
        at += 8
    if at + 4 <= len(data):
        made ^= int.from_bytes(data[at : at + 4], "little") * _P1 & _MASK
        made = (_turned(made, 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        made = _turned(made ^ (byte * _P5 & _MASK), 11) * _P1 & _MASK
    made = (made ^ made >> 33) * _P2 & _MASK
    made = (made ^ made >> 29) * _P3 & _MASK
    return (made ^ made >> 32).to_bytes(8, "big")


def murmur3(data: bytes) -> bytes:
    """Murmur3 of 128 bits for 64-bit machines with the seed 0, the lowest byte of each half first."""
    one = other = 0
    whole = len(data) // 16 * 16
    for at in range(0, whole, 16):
        one ^= _mixed(int.from_bytes(data[at : at + 8], "little"), _C1, 31, _C2)
        one = ((_turned(one, 27) + other) * 5 + 0x52DCE729) & _MASK
        other ^= _mixed(int.from_bytes(data[at + 8 : at + 16], "little"), _C2, 33, _C1)
        other = ((_turned(other, 31) + one) * 5 + 0x38495AB5) & _MASK
    other ^= _mixed(int.from_bytes(data[whole + 8 :], "little"), _C2, 33, _C1)
    one ^= _mixed(int.from_bytes(data[whole : whole + 8], "little"), _C1, 31, _C2)
    one ^= len(data)
    other ^= len(data)
    one = (one + other) & _MASK
    other = (other + one) & _MASK
    one, other = _finished(one), _finished(other)
    one = (one + other) & _MASK
    other = (other + one) & _MASK
    return one.to_bytes(8, "little") + other.to_bytes(8, "little")


def _turned(value: int, by: int) -> int:
    return (value << by | value >> 64 - by) & _MASK


def _round(lane: int, block: int) -> int:
    return _turned((lane + block * _P2) & _MASK, 31) * _P1 & _MASK


def _mixed(block: int, first: int, by: int, second: int) -> int:
    return _turned(block * first & _MASK, by) * second & _MASK


def _finished(value: int) -> int:
    value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD & _MASK
    value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 & _MASK
    return value ^ value >> 33


def hmac_by(name: str) -> Callable[[bytes, bytes], bytes]:
    """HMAC by a hash of this name, of data and a key."""
    return lambda data, key: hmac.digest(key, data, name)
