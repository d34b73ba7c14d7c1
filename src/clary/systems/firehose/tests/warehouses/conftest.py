"""Servers that are delivered to: a real PostgreSQL and a real OpenSearch-compatible one, each once in a session."""

import gzip
import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from osmem_server import OsmemServer

from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.lake.tests.postgres import Postgres, running
from clary.systems.firehose.destinations.contract import Record
from clary.systems.firehose.records import DeliveryStream

ACCOUNT, REGION = "000000000000", "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/service-role/AmazonSageMaker-ExecutionRole"
NOON_MS = 1_767_355_200_000  # 2026-01-02 12:00 UTC, a Friday of the first week


def quoted(name: str) -> str:
    """A name as DataTableName has it, with whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def records(*data: bytes | str, at_ms: int = NOON_MS, first: int = 1) -> list[Record]:
    """A batch; the first record is at the offset `first`."""
    return [
        Record(
            f"record-{number}",
            at_ms + number,
            each.encode() if isinstance(each, str) else each,
            {},
            (number + first, 0),
        )
        for number, each in enumerate(data)
    ]


def stream_of(configuration: dict[str, Any], kind: str, buffer: str = "buffer") -> Entry[DeliveryStream]:
    """The entry of a delivery stream to a destination."""
    stream = DeliveryStream(buffer, "DirectPut", kind, configuration, roles={ROLE: ROLE})
    return Entry(stream, "orders", ACCOUNT, REGION, "ACTIVE", "", 0.0, 0.0, 1)


@pytest.fixture
def bucket(platform: Platform) -> str:
    platform.objects.buckets.create("staging", ACCOUNT, REGION)
    return "staging"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running() as made:
        yield made


class Search:
    """An OpenSearch-compatible server on a port of its own; `proxy` stands before it and may say that it is busy."""

    def __init__(self) -> None:
        self.server = OsmemServer.start(japanese=False)
        self.proxy = _Proxy(self.server.url)

    def documents(self, index: str) -> dict[str, dict[str, Any]]:
        """The documents of indexes by that pattern, by `index/id`."""
        self.server.request("POST", "/_refresh")
        found = self.server.request("GET", f"/{index}/_search?size=10000&ignore_unavailable=true")["hits"]["hits"]
        return {f"{hit['_index']}/{hit['_id']}": hit["_source"] for hit in found}

    def close(self) -> None:
        self.proxy.shutdown()
        self.proxy.server_close()
        ended(self.server)


def ended(server: OsmemServer) -> None:
    """End a server, and let go of what its launcher keeps open."""
    server.close()
    assert server.process.stdout is not None
    server.process.stdout.close()


class _Proxy(ThreadingHTTPServer):
    """Passes requests on, but answers the first with the `refusals` there are, and 429 for the documents in `busy`."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.target = target
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.refusals: list[int] = []
        self.busy: set[str] = set()
        self.most_bytes = 1 << 30
        self.requests: list[bytes] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Passing(BaseHTTPRequestHandler):
    server: _Proxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        self.server.requests.append(body)
        if self.server.refusals:
            self._answer(self.server.refusals.pop(0), {"error": {"type": "said_by_proxy", "reason": "no"}, "status": 0})
            return
        if len(body) > self.server.most_bytes:
            self._answer(413, {"Message": "Request size exceeded"})
            return
        lines = body.splitlines(keepends=True)
        pairs = [(json.loads(lines[at])["index"], lines[at] + lines[at + 1]) for at in range(0, len(lines), 2)]
        taken = [line for head, line in pairs if head.get("_id") not in self.server.busy]
        found = iter(self._passed_on(b"".join(taken))["items"] if taken else [])
        busy = {
            "index": {"status": 429, "error": {"type": "opensearch_rejected_execution_exception", "reason": "busy"}}
        }
        items = [busy if head.get("_id") in self.server.busy else next(found) for head, _ in pairs]
        self._answer(200, {"items": items})

    def _passed_on(self, body: bytes) -> dict[str, Any]:
        headers = {"Content-Type": self.headers["Content-Type"]}
        request = urllib.request.Request(self.server.target + self.path, body, headers, method="POST")
        with urllib.request.urlopen(request) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="session")
def search() -> Iterator[Search]:
    made = Search()
    yield made
    made.close()
