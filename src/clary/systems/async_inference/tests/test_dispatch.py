"""The dispatcher without a server around it: what it does when models, places and topics do not do their part."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.serving.holds import held_until
from clary.kernel.serving.routes import DOMAIN, Asynchronous, Route, Target, dump_route, route_key, write_route
from clary.systems.async_inference import dispatch
from clary.systems.async_inference.backlog import Backlog
from clary.systems.async_inference.reconcile import backlog_metrics
from clary.systems.async_inference.records import Request
from clary.testing import eventually

ACCOUNT, REGION, ENDPOINT = "000000000000", "us-east-1", "e"
KEY = route_key(ACCOUNT, REGION, ENDPOINT)


class Model(ThreadingHTTPServer):
    """A model server that a test tells what to do with each request, by number from 1."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[bytes, dict[str, str]]] = []
        self.act: Callable[[int], int] = lambda number: 200
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Model

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((body, dict(self.headers)))
        status = self.server.act(len(self.server.asked))
        if status == 0:  # it breaks off
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        answer = b"so: " + body
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: Any) -> None:
        """Nobody reads it."""


class Scene:
    """An endpoint `e` whose one instance is `model`, and whoever sends to it."""

    def __init__(self, platform: Platform, model: Model) -> None:
        self.platform = platform
        self.model = model
        self.backlog = Backlog(platform)
        self.asynchronous = Asynchronous({"OutputConfig": {}})
        platform.objects.buckets.ensure("bucket", ACCOUNT, REGION)
        self.route()

    def route(self, *, served: bool = True, revision: str = "r") -> None:
        servers = {"i-1": [f"tcp:{self.model.server_port}"]} if served else {}
        target = Target("v", 1.0, 1, servers)
        table = dump_route(Route([target], revision, asynchronous=self.asynchronous))
        write_route(self.platform.kv(DOMAIN), KEY, table)

    def add(self, body: bytes = b"x", **members: Any) -> Request:
        now = self.platform.clock.now()
        about: dict[str, Any] = {
            "revision": "r",
            "inference_id": "mine",
            "received_at": now,
            "expires_at": now + 3600,
            "timeout_seconds": 60.0,
            "output_location": "s3://bucket/answer",
            "failure_location": "s3://bucket/failure",
        }
        request = Request(account=ACCOUNT, region=REGION, endpoint=ENDPOINT, **{**about, **members})
        return asyncio.run(self.backlog.add(request, body))

    def send(self) -> None:
        dispatch.dispatcher_of(self.platform).wake()

    def waiting(self) -> list[Request]:
        return self.backlog.first(f"{ACCOUNT}/{REGION}/{ENDPOINT}/r", 100)

    def done(self) -> None:
        self.send()
        eventually(lambda: not self.waiting())

    def stored(self, key: str) -> bytes | None:
        try:
            return self.platform.objects.get_bytes("bucket", key)
        except AwsError:
            return None

    def reason(self) -> str:
        found: str = json.loads(self.stored("failure") or b"{}").get("failureReason", "")
        return found


@pytest.fixture
def scene(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(dispatch, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(dispatch, "_SHUN_SECONDS", 0.01)
    monkeypatch.setattr(dispatch, "_LONGEST_BACK_OFF_SECONDS", 0.01)
    monkeypatch.setattr(dispatch, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(dispatch, "_IDLE_SECONDS", 0.01)
    model = Model()
    yield Scene(platform, model)
    platform.close()
    model.shutdown()
    model.server_close()


def test_a_request_that_is_answered_is_forgotten(scene: Scene) -> None:
    scene.add(b"hello", content_type="text/csv", accept="text/plain", custom_attributes="trace=1")
    scene.done()
    ((body, headers),) = scene.model.asked
    assert body == b"hello"
    assert headers["Content-Type"] == "text/csv"
    assert headers["X-Amzn-SageMaker-Custom-Attributes"] == "trace=1"
    assert headers["X-Amzn-SageMaker-Inference-Id"] == "mine"
    assert scene.stored("answer") == b"so: hello"
    assert scene.platform.objects.find("bucket", "answer").headers["ContentType"] == "text/plain"
    assert scene.backlog.queues() == []
    scene.platform.close()  # writes its last reports
    assert list((scene.platform.settings.home / "async").glob("*")) == []


def test_what_waited_too_long_fails_though_no_instance_is_there(scene: Scene) -> None:
    scene.route(served=False)
    scene.add(expires_at=scene.platform.clock.now() - 1)
    kept = scene.add()
    scene.send()
    eventually(lambda: len(scene.waiting()) == 1)
    assert scene.waiting() == [kept]
    assert "expired" in scene.reason()
    assert scene.model.asked == []


def test_requests_to_an_endpoint_that_is_gone_fail(scene: Scene) -> None:
    scene.route(revision="another")
    for _ in range(40):
        scene.add()
    scene.done()
    assert "was deleted" in scene.reason()
    assert scene.model.asked == []


def test_a_server_that_breaks_off_is_asked_again_three_times_at_most(scene: Scene) -> None:
    scene.model.act = lambda number: 200 if number == 3 else 0
    scene.add()
    scene.done()
    assert scene.stored("answer") == b"so: x"
    scene.model.act = lambda number: 0
    scene.add()
    scene.done()
    assert len(scene.model.asked) == 6
    assert "After 3 tries, container primary gave no answer" in scene.reason()


def test_what_a_model_refuses_is_final(scene: Scene) -> None:
    scene.model.act = lambda number: 503
    scene.add()
    scene.done()
    assert len(scene.model.asked) == 1
    assert scene.stored("failure") == b"so: x"


def test_a_server_that_cannot_be_reached_costs_no_try(scene: Scene) -> None:
    target = Target("v", 1.0, 1, {"i-1": ["unix:/nowhere.sock"]})
    table = dump_route(Route([target], "r", asynchronous=scene.asynchronous))
    write_route(scene.platform.kv(DOMAIN), KEY, table)
    scene.add()
    scene.send()
    eventually(lambda: held_until(scene.platform.kv(DOMAIN), "i-1") > 0)
    assert [one.attempts for one in scene.waiting()] == [0]
    scene.route()
    scene.done()
    assert scene.stored("answer") == b"so: x"


def test_faults_of_our_own_put_a_request_off(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    settle, faults = dispatch.settle, iter([OSError("the disk is full"), AwsError("Slow", "wait", status=503)])

    def fail_first(*given: Any) -> Any:
        for fault in faults:
            raise fault
        return settle(*given)

    monkeypatch.setattr(dispatch, "settle", fail_first)
    scene.add()
    scene.done()
    assert scene.stored("answer") == b"so: x"
    assert len(scene.model.asked) == 3


def test_who_comes_next_finishes_what_was_not_forgotten(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a process is killed between the answer and the end of its request."""
    scene.add(notification={"SuccessTopic": "arn:aws:sns:us-east-1:000000000000:nowhere"})
    stuck = threading.Event()

    async def never(self: Any, request: Request) -> bool:
        stuck.set()
        await asyncio.Event().wait()
        return False

    with monkeypatch.context() as patch:
        patch.setattr(Backlog, "settle", never)
        scene.send()
        assert stuck.wait(120)
        assert scene.stored("answer") == b"so: x"
        assert held_until(scene.platform.kv(DOMAIN), "i-1") > scene.platform.clock.now()
        dispatch.dispatcher_of.end(scene.platform)
    assert len(scene.waiting()) == 1
    scene.done()
    assert len(scene.model.asked) == 2
    assert scene.stored("answer") == b"so: x"
    eventually(lambda: held_until(scene.platform.kv(DOMAIN), "i-1") == 0)


def test_an_instance_has_no_more_requests_than_it_may(scene: Scene) -> None:
    scene.asynchronous = Asynchronous({"OutputConfig": {}, "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 3}})
    scene.route()
    now, most, lock, together = [0], [0], threading.Lock(), threading.Barrier(3)

    def act(number: int) -> int:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        together.wait(120)
        with lock:
            now[0] -= 1
        return 200

    scene.model.act = act
    for _ in range(9):
        scene.add()
    scene.done()
    assert most[0] == 3


def test_a_role_goes_as_far_as_its_policies(scene: Scene) -> None:
    def iam(operation: str, **params: Any) -> Any:
        return scene.platform.call(ACCOUNT, REGION, "iam", operation, **params)

    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "sagemaker.amazonaws.com"}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam("CreateRole", RoleName="reader", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/failure"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam("PutRolePolicy", RoleName="reader", PolicyName="p", PolicyDocument=policy)
    scene.platform.objects.put_bytes("bucket", "input", b"secret")
    scene.add(b"", input_location="s3://bucket/input", role=role)
    scene.done()
    assert "s3:GetObject" in scene.reason()
    assert scene.model.asked == []
    scene.add(role=role, output_location="s3://bucket/other")
    scene.done()
    assert "s3:PutObject" in scene.reason()
    assert scene.stored("other") is None


def test_the_backlog_is_measured(scene: Scene) -> None:
    queue = scene.add().queue
    scene.add()

    def measured(count: int, *shares: float) -> list[float | None]:
        targets = [Target("v", 1.0, count, {}, share=share) for share in shares or (1.0,)]
        route = Route(targets, "r", asynchronous=scene.asynchronous)
        return [one.value for one in backlog_metrics(scene.backlog, queue, ENDPOINT, route, one_minute_on)]

    one_minute_on = scene.waiting()[0].received_at + 60
    assert measured(0) == [2, 2, 60, 1]
    assert measured(4) == [2, 0.5, 60, 0]
    assert measured(4, 0.75, 0.25) == [2, 0.5, 60, 0]
