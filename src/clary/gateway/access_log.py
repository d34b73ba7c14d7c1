"""One line per request, buffered for a moment so that it costs the request next to nothing."""

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from clary.kernel.wire import Response

if TYPE_CHECKING:
    from clary.gateway.app import Exchange

_FLUSH_SECONDS = 0.5
_ROTATE_BYTES = 64 * 1024 * 1024
_LONGEST_KEY = 128


class AccessLog:
    """`time client access-key service:operation status milliseconds request-id method path`, space-separated.

    At 64 MiB the file moves to `access.log.1` and starts anew.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lines: list[str] = []

    def write(
        self, exchange: "Exchange", response: Response, client: tuple[str, int] | None, elapsed_seconds: float
    ) -> None:
        match, scope, request = exchange.match, exchange.scope, exchange.request
        key = _plain(scope.access_key) if scope is not None else "-"
        operation = f"{match.operation.service.name}:{match.operation.name}" if match is not None else "-"
        if not self._lines:
            asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._flush)
        self._lines.append(
            f"{time.time():.3f} {client[0] if client else '-'} {key} {operation} "
            f"{response.status} {elapsed_seconds * 1000:.2f} {exchange.request_id} {request.method} {request.path}\n"
        )

    def _flush(self) -> None:
        text = "".join(self._lines).encode("utf-8", "replace")
        self._lines.clear()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, text)
            if os.fstat(descriptor).st_size > _ROTATE_BYTES:
                os.replace(self._path, f"{self._path}.1")
        finally:
            os.close(descriptor)


def _plain(access_key: str) -> str:
    """A key that is claimed, not proven: whatever it holds, it stays one word of the line."""
    return access_key if access_key.isalnum() else quote(access_key[:_LONGEST_KEY], safe="")
