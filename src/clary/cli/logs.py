"""What `clary logs` prints: the server's own log, or a log group."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.server.home import ServerInfo

_FOLLOW_SECONDS = 0.3
_TAIL_BYTES = 64 * 1024


def print_server(settings: Settings, follow: bool) -> None:
    """Print the end of `log/server.log`, which a detached server writes."""
    path = settings.home / "log" / "server.log"
    if not path.exists():
        typer.echo(f"clary: {path} does not exist: only `clary up --detach` writes it", err=True)
        raise typer.Exit(1)
    for text in _tail(path, follow):
        sys.stdout.write(text)
        sys.stdout.flush()


def _tail(path: Path, follow: bool) -> Iterator[str]:
    pause = threading.Event()
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        while True:
            chunk = log.read()
            if chunk:
                yield chunk.decode("utf-8", "replace")
            if not follow:
                return
            pause.wait(_FOLLOW_SECONDS)


def print_group(server: tuple[Settings, ServerInfo], group: str, stream: str | None, follow: bool) -> None:
    """Print the events of a log group in time order, as FilterLogEvents gives them."""
    settings, _ = server
    platform, pause = Platform(settings), threading.Event()
    seen: set[str] = set()
    start = 0
    while True:
        fresh = [event for event in _events(platform, group, stream, start) if event["eventId"] not in seen]
        for event in fresh:
            typer.echo(f"{event['logStreamName']}  {event['message']}")
        if fresh:
            start = int(fresh[-1]["timestamp"])
            seen |= {event["eventId"] for event in fresh}
        if not follow:
            return
        pause.wait(_FOLLOW_SECONDS)


def _events(platform: Platform, group: str, stream: str | None, start: int) -> Iterator[dict[str, Any]]:
    settings = platform.settings
    request: dict[str, object] = {"logGroupName": group, "startTime": start}
    if stream is not None:
        request["logStreamNamePrefix"] = stream
    while True:
        page: Any = platform.call(settings.account, settings.region, "logs", "FilterLogEvents", **request)
        yield from page.get("events", [])
        if not page.get("nextToken"):
            return
        request["nextToken"] = page["nextToken"]
