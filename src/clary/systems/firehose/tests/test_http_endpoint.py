"""Web servers get Amazon's documented request; those that refuse, lie or hang cost nobody else anything."""

import base64
import contextlib
import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from clary.systems.firehose.destinations import http_endpoint
from clary.systems.firehose.destinations.contract import Record, Unavailable
from clary.systems.firehose.tests.conftest import ROLE, Client
from clary.systems.firehose.tests.test_crossings import World
from clary.testing import eventually

Answer = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


class WebServer(ThreadingHTTPServer):
    """Takes what is posted, and answers as `answer` says."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/records?from=firehose"
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.answer: Answer = lambda asked: (200, {"requestId": asked["requestId"], "timestamp": 1})
        self.released = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked is gone."""

    def taken(self) -> list[bytes]:
        """The records of all requests, each once, as a receiver that knows its requests keeps them."""
        by_id = {body["requestId"]: body["records"] for _, body in self.requests}
        return [base64.b64decode(each["data"]) for records in by_id.values() for each in records]


class _Handler(BaseHTTPRequestHandler):
    server: WebServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            data = gzip.decompress(data)
        body = json.loads(data)
        self.server.requests.append((dict(self.headers.items()), body))
        status, document = self.server.answer(body)
        answer = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def web() -> Iterator[WebServer]:
    made = WebServer()
    yield made
    made.released.set()
    made.shutdown()
    made.server_close()


def endpoint(client: Client, web: WebServer, **members: Any) -> dict[str, Any]:
    return {
        "EndpointConfiguration": {"Url": web.url, "Name": "mine", "AccessKey": "secret"},
        "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0},
        "RetryOptions": {"DurationInSeconds": 0},
        "S3Configuration": client.part(Prefix="failed/"),
        "RoleARN": ROLE,
        **members,
    }


def test_a_request_is_as_documented(client: Client, web: WebServer) -> None:
    attributes = [{"AttributeName": "team", "AttributeValue": "a"}]
    configuration = {"ContentEncoding": "GZIP", "CommonAttributes": attributes}
    name = client.create(
        HttpEndpointDestinationConfiguration=endpoint(
            client, web, RequestConfiguration=configuration, S3BackupMode="AllData"
        )
    )
    records = [b"%d\n" % number for number in range(100)]
    client.put(name, records)
    eventually(lambda: len(web.taken()) == 100)
    assert sorted(web.taken()) == sorted(records)
    headers, body = web.requests[0]
    assert headers["X-Amz-Firehose-Protocol-Version"] == "1.0"
    assert headers["X-Amz-Firehose-Request-Id"] == body["requestId"]
    assert headers["X-Amz-Firehose-Source-Arn"].endswith(f":deliverystream/{name}")
    assert headers["X-Amz-Firehose-Access-Key"] == "secret"
    assert json.loads(headers["X-Amz-Firehose-Common-Attributes"]) == {"commonAttributes": {"team": "a"}}
    assert body["timestamp"] > 1_000_000_000_000
    assert sorted(client.delivered(100, "failed/20")) == sorted(record.strip() for record in records)
    described = client.describe(name)["Destinations"][0]["HttpEndpointDestinationDescription"]
    assert described["EndpointConfiguration"] == {"Url": web.url, "Name": "mine"}
    assert described["S3DestinationDescription"]["Prefix"] == "failed/"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda asked: (400, {"requestId": asked["requestId"], "errorMessage": "no thanks"}), "DestinationException"),
        (lambda asked: (200, {"requestId": "another"}), "InvalidResponseFromDestination"),
        (lambda asked: (200, {"requestId": asked["requestId"], "x": "y" * 2_000_000}), "ResponseTooLarge"),
    ],
)
def test_what_is_not_taken_is_in_the_error_output_with_the_reason(
    client: Client, web: WebServer, answer: Answer, code: str
) -> None:
    web.answer = answer
    name = client.create(HttpEndpointDestinationConfiguration=endpoint(client, web))
    client.put(name, [b"a", b"b"])
    errors = [json.loads(line) for line in client.delivered(2, "failed/http-endpoint-failed/")]
    assert [base64.b64decode(each["rawData"]) for each in errors] == [b"a", b"b"]
    assert {each["errorCode"] for each in errors} == {f"HttpEndpoint.{code}"}
    assert all(each["attemptsMade"] == 1 for each in errors)
    if code == "DestinationException":
        assert "no thanks" in errors[0]["errorMessage"]


def test_a_refused_request_is_tried_again_with_its_id(client: Client, web: WebServer) -> None:
    def answer(asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return (200 if len(web.requests) > 2 else 503), {"requestId": asked["requestId"]}

    web.answer = answer
    hints = {"SizeInMBs": 1, "IntervalInSeconds": 1}
    retry = {"DurationInSeconds": 300}
    name = client.create(
        HttpEndpointDestinationConfiguration=endpoint(client, web, RetryOptions=retry, BufferingHints=hints)
    )
    client.put(name, [b"a", b"b"])
    eventually(lambda: len(web.requests) >= 3)
    assert len({body["requestId"] for _, body in web.requests}) == 1
    assert web.taken() == [b"a", b"b"]
    assert client.objects("failed/") == {}


def test_a_server_that_hangs_holds_up_nobody_else(client: Client, web: WebServer) -> None:
    def answer(asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        web.released.wait()
        return 200, {"requestId": asked["requestId"]}

    web.answer = answer
    hanging = [client.create(HttpEndpointDestinationConfiguration=endpoint(client, web)) for _ in range(3)]
    for name in hanging:
        client.put(name, [name.encode()])
    eventually(lambda: len(web.requests) == 3)
    other = client.create(client.part(Prefix="other/"))
    client.put(other, [b"not held up\n"])
    assert client.delivered(1, "other/") == [b"not held up"]
    web.released.set()
    eventually(lambda: sorted(web.taken()) == sorted(name.encode() for name in hanging))


def test_a_server_that_answers_a_letter_at_a_time_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """However it keeps a connection alive, it does not keep it for longer than a request may take."""
    monkeypatch.setattr(http_endpoint, "LONGEST_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            peer, _ = listener.accept()
            with peer, contextlib.suppress(OSError):
                peer.sendall(b"HTTP/1.1 200 OK\r\n")
                while not done.wait(0.05):
                    peer.sendall(b"X-More: x\r\n")

        done = threading.Event()
        threading.Thread(target=drip, daemon=True).start()
        configuration = {
            "EndpointConfiguration": {"Url": f"http://127.0.0.1:{listener.getsockname()[1]}/"},
            "RequestConfiguration": {"ContentEncoding": "NONE"},
        }
        world = World(tmp_path, {})
        destination = http_endpoint.open(world.platform, world.stream, configuration)
        with pytest.raises(Unavailable) as refused:
            destination.deliver([Record("id", 1, b"data", {})])
        assert refused.value.code == "HttpEndpoint.RequestTimeout"
        done.set()
        world.platform.close()
