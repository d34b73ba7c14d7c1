"""Claim: from a request's bytes to its handler and back costs a few times what HTTP itself costs, signature included.

The gateway in this process over transports that only keep what is written to them: no system calls, no handler, no
other process, so that it holds on a busy machine. Against uvicorn's own protocol under an application that checks
nothing and answers as much. `gateway.py` measures with sockets.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from benchmarks.signing import signed
from clary.gateway.app import Gateway
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.server.protocol import Connection

_PORT = 4777
_CONNECTIONS = 16
_ROUNDS = 15
_EACH_SECOND = 2000
_BODY = b'{"instances": [[0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1.0,0.11,0.12,0.13]]}'
_HEAD = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]


class _Transport(asyncio.Transport):
    """A client that takes everything at once."""

    written = b""

    def write(self, data: Any) -> None:
        self.written += data

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", _PORT) if name in {"peername", "sockname"} else default

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass


def run(seconds: float) -> None:
    with TemporaryDirectory() as folder:
        platform = Platform(Settings.load({}, home=folder))
        try:
            uvloop.run(_compare(platform, int(_EACH_SECOND * seconds)))
        finally:
            platform.close()


async def _compare(platform: Platform, count: int) -> None:
    platform.keys.ensure_default()
    key = platform.keys.default()
    assert key is not None
    handlers, name = platform.registry.handlers, ("sagemaker-runtime", "InvokeEndpoint")
    handlers[name] = replace(handlers[name], function=_echo)
    ask = ("POST", _PORT, "/endpoints/e/invocations", "sagemaker")
    request = signed(
        *ask, body=_BODY, headers={"Content-Type": "text/csv"}, access_key=key.access_key, secret=key.secret
    )
    subjects = {
        "Clary, InvokeEndpoint": _connections(Connection, Gateway(platform, f"http://127.0.0.1:{_PORT}")),
        "uvicorn, bare ASGI": _connections(HttpToolsProtocol, _bare),
    }
    found: dict[str, list[float]] = {subject: [] for subject in subjects}
    for _ in range(_ROUNDS):
        for subject, connections in subjects.items():
            found[subject].append(await _ask(connections, request, count // _ROUNDS))
    print("\nThe gateway alone: from the bytes of a request to its handler and back, no sockets")
    print(f"  {'':28}{'CPU us/op':>11}")
    for subject, costs in found.items():
        print(f"  {subject:28}{min(costs) * 1e6:>11,.0f}")


def _connections(protocol: Callable[..., Any], app: Any) -> list[tuple[Any, _Transport]]:
    config = uvicorn.Config(app, lifespan="off", access_log=False, log_config=None, ws="none")
    config.load()
    config.loaded_app = app
    state = ServerState()
    state.default_headers = [(b"date", b"Fri, 27 Nov 2026 09:00:00 GMT")]
    made = []
    for _ in range(_CONNECTIONS):
        connection, transport = protocol(config=config, server_state=state, app_state={}), _Transport()
        connection.connection_made(transport)
        made.append((connection, transport))
    return made


async def _ask(connections: list[tuple[Any, _Transport]], request: bytes, count: int) -> float:
    """CPU seconds for each request."""
    gc.collect()
    before = time.process_time()
    for _ in range(count // _CONNECTIONS):
        for connection, _ in connections:
            connection.data_received(request)
        while not all(transport.written.endswith(_BODY) for _, transport in connections):
            await asyncio.sleep(0)
        for _, transport in connections:
            assert transport.written.startswith(b"HTTP/1.1 200 ")
            transport.written = b""
    return (time.process_time() - before) / (count // _CONNECTIONS * _CONNECTIONS)


async def _echo(_context: Any, *, EndpointName: str, Body: bytes, **_: Any) -> dict[str, Any]:
    return {"Body": Body, "ContentType": "application/json", "InvokedProductionVariant": EndpointName}


async def _bare(_scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": _HEAD})
    await send({"type": "http.response.body", "body": _BODY})
