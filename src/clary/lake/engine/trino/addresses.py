"""Addresses of IP as 16 bytes, those of version 4 as version 6 maps them, and networks as their first and last one."""

import socket
from functools import cache
from ipaddress import IPv6Address

MAPPED = bytes(10) + b"\xff\xff"


def address(said: str) -> bytes | None:
    """The address that a text says, None where it says none."""
    try:
        return socket.inet_pton(socket.AF_INET6, said if ":" in said else f"::ffff:{said}")
    except (OSError, ValueError):
        return None


def text(packed: bytes) -> str:
    """An address as it is written, version 4 where it is mapped from there."""
    if packed.startswith(MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    # That of the system would write `::1.2.3.4`.
    return str(IPv6Address(packed)) if packed.startswith(bytes(12)) else socket.inet_ntop(socket.AF_INET6, packed)


@cache
def network(said: str) -> tuple[str, bytes, bytes]:
    """What is wrong with a network, `10.0.0.0/8`, or nothing; and its first and its last address."""
    base, slash, length = said.partition("/")
    if not slash:
        return "Invalid CIDR", b"", b""
    found = address(base)
    if found is None:
        return "Invalid network IP address", b"", b""
    if not (length.isascii() and length.isdigit()):
        return "Invalid prefix length", b"", b""
    whole = 32 if found.startswith(MAPPED) else 128
    if int(length) > whole:
        return "Prefix length exceeds address length", b"", b""
    mask = (1 << whole - int(length)) - 1
    number = int.from_bytes(found, "big")
    if whole == 32 and number & mask:
        return "Invalid CIDR", b"", b""
    return "", (number & ~mask).to_bytes(16, "big"), (number | mask).to_bytes(16, "big")
