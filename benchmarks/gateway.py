"""Claim: a request costs little more than the HTTP server under it, signature, checks and serialisation included.

GetCallerIdentity, which does no work of its own, against bare uvicorn (the floor) and moto's server.
"""

from benchmarks import peers
from benchmarks.clary_server import clary, gateways, port_of, request
from benchmarks.compare import Subject, show, side_by_side, tree
from benchmarks.signing import plain, signed

_BODY = b"Action=GetCallerIdentity&Version=2011-06-15"
_FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


def run(seconds: float) -> None:
    with clary() as server, peers.asgi("bare:fixed") as (bare_port, bare_pid), peers.moto() as (moto_port, moto_pid):
        subjects = [
            Subject(
                "Clary",
                port_of(server),
                [request(server, "POST", "/", "sts", body=_BODY, headers=_FORM)],
                gateways(server),
            ),
            Subject("uvicorn, bare ASGI", bare_port, [plain("GET", bare_port, "/")], tree(bare_pid)),
            Subject(
                "moto server",
                moto_port,
                [signed("POST", moto_port, "/", "sts", body=_BODY, headers=_FORM)],
                tree(moto_pid),
            ),
        ]
        for connections in (1, 16):
            title = f"Gateway overhead: GetCallerIdentity, {connections} connection(s)"
            show(title, side_by_side(subjects, connections=connections, seconds=seconds))
        full = side_by_side(subjects, connections=256, seconds=seconds, rounds=1)
        show("Gateway overhead when full: GetCallerIdentity, 256 connections", full)
