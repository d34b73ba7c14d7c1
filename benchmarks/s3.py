"""Claim: durable S3 that is faster than emulators that keep objects in memory.

4 KiB PUT and GET, 64 MiB PUT and GET, and a listing of 1,000 keys, against moto's server and ministack. Clary has
each PUT on disk before it answers; the peers keep objects in memory.
"""

import os

from benchmarks import peers
from benchmarks.clary_server import clary, gateways, port_of
from benchmarks.compare import Subject, show, side_by_side, tree
from benchmarks.load import replay
from benchmarks.signing import signed

_SMALL = os.urandom(4096)
_LARGE = os.urandom(64 * 1024 * 1024)
_KEYS = 500


class _Store:
    """One S3 server, its keys, and the requests it is sent."""

    def __init__(self, name: str, port: int, processes, access_key: str = "test", secret: str = "test") -> None:  # type: ignore[no-untyped-def]
        self.name = name
        self.port = port
        self.processes = processes
        self._keys = {"access_key": access_key, "secret": secret}
        replay(port, [self._sign("PUT", "/bench")], connections=1, count=1)
        replay(port, [self._sign("PUT", "/listed")], connections=1, count=1)

    def _sign(self, method: str, path: str, body: bytes = b"") -> bytes:
        return signed(method, self.port, path, "s3", body=body, **self._keys)

    def fill(self) -> None:
        """Store what the listing finds."""
        puts = [self._sign("PUT", f"/listed/folder/key-{number:06}", b"x") for number in range(1000)]
        replay(self.port, puts, connections=8, count=1000, seconds=120)

    def subject(self, method: str, paths: list[str], body: bytes = b"") -> Subject:
        return Subject(self.name, self.port, [self._sign(method, path, body) for path in paths], self.processes)


def run(seconds: float) -> None:
    with clary() as server, peers.moto() as (moto_port, moto_pid), peers.ministack() as (mini_port, mini_pid):
        stores = [
            _Store("Clary, durable", port_of(server), gateways(server), server.access_key, server.secret),
            _Store("ministack, in memory", mini_port, tree(mini_pid)),
            _Store("moto server, in memory", moto_port, tree(moto_pid)),
        ]
        small = [f"/bench/small/{number:04}" for number in range(_KEYS)]
        puts = side_by_side([one.subject("PUT", small, _SMALL) for one in stores], connections=16, seconds=seconds)
        show("S3: PUT of 4 KiB, 16 connections", puts)
        gets = side_by_side([one.subject("GET", small) for one in stores], connections=16, seconds=seconds)
        show("S3: GET of 4 KiB, 16 connections", gets)
        full = [one.subject("PUT", small, _SMALL) for one in stores]
        show(
            "S3 when full: PUT of 4 KiB, 128 connections",
            side_by_side(full, connections=128, seconds=seconds, rounds=1),
        )
        for one in stores:
            one.fill()
        listing = ["/listed?list-type=2&max-keys=1000&prefix=folder%2F"]
        lists = side_by_side([one.subject("GET", listing) for one in stores], connections=4, seconds=seconds)
        show("S3: list of 1,000 keys, 4 connections", lists)
        for method in ("PUT", "GET"):
            body = _LARGE if method == "PUT" else b""
            large = [one.subject(method, ["/bench/large"], body) for one in stores]
            results = side_by_side(large, connections=2, seconds=seconds, count=24)
            show(f"S3: {method} of 64 MiB, 2 connections", results, megabytes_each=len(_LARGE) / 1e6)
