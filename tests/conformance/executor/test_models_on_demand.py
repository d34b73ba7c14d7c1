"""A service is given models while it runs: on demand, as long as there is room, and whole or not at all."""

import io
import json
import os
import tarfile
import threading
from pathlib import Path

import pytest
from tests.conformance.executor.conftest import ACCOUNT, BUCKET, REGION, World

from clary.kernel.jobs.contract import InvalidSpec, Kind, OnDemand, Outcome
from clary.kernel.jobs.health import connection_to
from clary.kernel.jobs.on_demand.words import LOAD, RELEASE, USED, model_id

# Room for three models; a model's file "kind" says how it behaves.
SERVER = """
import http.server, shutil, socketserver, threading
loaded, lock = {}, threading.Lock()
class Handler(http.server.BaseHTTPRequestHandler):
    def say(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        name = self.path.rpartition('/')[2]
        if self.path == '/ping':
            self.say(200, {})
        elif self.path == '/models':
            self.say(200, {'models': [{'modelName': one, 'modelUrl': url} for one, url in loaded.items()]})
        else:
            self.say(200 if name in loaded else 404, {})
    def do_POST(self):
        said = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        if self.path == '/exists':
            return self.say(200, os.path.exists(said))
        if self.path == '/escape':
            shutil.rmtree(f'{ML}/models')
            os.symlink(said, f'{ML}/models')
            return self.say(200, {})
        kind = open(said['url'] + '/kind').read()
        with lock:
            if kind == 'odd':
                return self.say(500, 'this model is odd')
            if kind == 'huge' or len(loaded) >= 3:
                return self.say(507, 'no room')
            if said['model_name'] in loaded:
                return self.say(409, 'loaded already')
            loaded[said['model_name']] = said['url']
        print('loading', self.headers['X-Amzn-SageMaker-Target-Model'], flush=True)
        self.say(200, {})
    def do_DELETE(self):
        with lock:
            self.say(200 if loaded.pop(self.path.rpartition('/')[2], None) else 404, {})
    def address_string(self): return 'client'
    def log_message(self, *_): pass
socketserver.ThreadingUnixStreamServer.daemon_threads = True
socketserver.ThreadingUnixStreamServer(f'{ML}/serve.sock', Handler).serve_forever()
"""


def archive(kind: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("kind")
        member.size = len(kind)
        tar.addfile(member, io.BytesIO(kind.encode()))
    return packed.getvalue()


class Host:
    """A running service with models below a prefix of its own, and a way to ask its shim."""

    def __init__(self, world: World, **members) -> None:
        self.world = world
        self.prefix = f"on-demand-{os.urandom(4).hex()}/"
        self.dimensions = {"Host": self.prefix}
        uri = f"s3://{BUCKET}/{self.prefix}"
        on_demand = OnDemand(
            uri, metric_namespace="Loads", count_namespace="Counts", metric_dimensions=self.dimensions, **members
        )
        self.spec = world.start(SERVER, kind=Kind.SERVICE, socket="serve.sock", on_demand=on_demand)
        world.until(lambda: world.observe(self.spec).healthy or world.observe(self.spec).ended)
        self.seen = world.observe(self.spec)
        assert self.seen.healthy, self.seen

    def put(self, *names: str, kind: str = "plain") -> None:
        for name in names:
            self.world.put(self.prefix + name, archive(kind))

    def ask(self, path: str, document: object, socket: str | None = None, method: str = "POST"):
        connection = connection_to(Path(socket or self.seen.models_socket), 60)
        connection.request(method, path, None if method == "GET" else json.dumps(document))
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, json.loads(body) if body else None

    def load(self, name: str, wait_seconds: float = 60):
        return self.ask(LOAD, {"model": name, "wait_seconds": wait_seconds})

    def use(self, name: str) -> bool:
        """Load and release; whether it was there before."""
        status, said = self.load(name)
        assert status == 200, said
        self.release(name)
        return said["hit"]

    def release(self, name: str) -> None:
        assert self.ask(RELEASE, {"model": name}) == (204, None)

    def loaded(self) -> set[str]:
        _, said = self.ask("/models", None, self.seen.socket, "GET")
        return {model["modelName"] for model in said["models"]}

    def has(self, *names: str) -> bool:
        return self.loaded() == {model_id(name) for name in names}

    def on_disk(self) -> int:
        return len(os.listdir(self.world.home / "jobs" / self.spec.job / self.spec.host / "box" / "ml" / "models"))

    def total(self, namespace: str, metric: str) -> int:
        """How many samples there are of a metric."""
        now = self.world.clock.now()
        metrics = self.world.metrics
        found = metrics.buckets(
            ACCOUNT, REGION, namespace, metric, self.dimensions, start=now - 3600, end=now + 60, period=60
        )
        return sum(int(bucket.samples.count) for bucket in found)


@pytest.fixture
def host_of(world: World):
    made = []

    def make(**members) -> Host:
        made.append(Host(world, **members))
        return made[-1]

    yield make
    for host in made:
        world.executor.forget(host.spec.job, host.spec.host)


def test_what_was_used_least_lately_makes_room(host_of):
    host = host_of()
    names = ["a.tar.gz", "deep/b.tar.gz", "c c.tar.gz", "d.tar.gz"]
    assert host.on_disk() == 0
    host.put(*names)
    assert [host.use(name) for name in names[:3]] == [False, False, False]
    assert host.use(names[0])
    assert host.ask(USED, {"models": [names[1], "never-heard-of"]}) == (204, None)
    assert not host.use(names[3])
    assert host.has(names[0], names[1], names[3])
    assert not host.use(names[2])
    assert host.has(names[1], names[2], names[3])
    assert host.on_disk() == 4
    host.world.said(host.spec, "loading deep/b.tar.gz")
    assert host.total("Loads", "ModelDownloadingTime") == 4
    assert host.total("Loads", "ModelLoadingTime") == 5
    assert host.total("Loads", "ModelUnloadingTime") == 2
    host.world.until(lambda: host.total("Counts", "LoadedModelCount") >= 5)


def test_many_ask_for_one_model(host_of):
    host = host_of()
    host.put("a.tar.gz")
    answers: list[object] = []
    askers = [threading.Thread(target=lambda: answers.append(host.load("a.tar.gz"))) for _ in range(20)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert [status for status, _ in answers] == [200] * 20
    assert host.total("Loads", "ModelLoadingTime") == 1


def test_what_cannot_be_loaded_harms_nothing_else(host_of):
    host = host_of()
    host.put("good.tar.gz")
    host.put("odd.tar.gz", kind="odd")
    host.put("huge.tar.gz", kind="huge")
    host.world.put(f"{host.prefix}broken.tar.gz", archive("plain")[:-30])
    host.use("good.tar.gz")
    for name, status, fault, message in (
        ("nowhere.tar.gz", 422, "data", f"s3://{BUCKET}/{host.prefix}nowhere.tar.gz"),
        ("broken.tar.gz", 422, "data", "cannot be extracted"),
        ("odd.tar.gz", 502, "refused", "this model is odd"),
        ("huge.tar.gz", 502, "refused", "no room"),
    ):
        said, document = host.load(name)
        assert (said, document["fault"]) == (status, fault), document
        assert message in document["message"]
        assert document["status"] == {"odd.tar.gz": 500, "huge.tar.gz": 507}.get(name, 0)
    assert not host.use("good.tar.gz"), "the huge one drove it out"
    assert host.ask(LOAD, {"no": "model"})[0] == 400
    assert host.ask(LOAD, [])[0] == 400
    assert host.use("good.tar.gz")


def test_a_model_in_use_is_not_unloaded(host_of):
    host = host_of()
    host.put("a", "b", "c", "d")
    for name in "abc":
        assert host.load(name)[0] == 200
    status, said = host.load("d", wait_seconds=0.2)
    assert (status, said["fault"]) == (504, "loading")
    assert host.has("a", "b", "c")
    host.release("b")
    host.world.until(lambda: host.has("a", "c", "d"))
    host.world.until(lambda: host.use("d"))  # the shim knows it a moment after the service does


def test_models_that_are_not_kept_go_after_use(host_of):
    host = host_of(keep=False)
    host.put("a", "b")
    assert host.load("a")[1] == {"hit": False}
    assert host.load("a")[1] == {"hit": True}
    host.release("a")
    assert host.has("a")
    host.release("a")
    host.world.until(lambda: host.has() and host.on_disk() == 0)
    assert not host.use("a")


def test_the_disk_is_bounded_too(host_of):
    host = host_of(disk_bytes=12)  # two models of five bytes
    host.put("a", "b", "c")
    host.put("large", kind="a kind that takes more than there is")
    for name in "abc":
        host.use(name)
    assert host.on_disk() == 2
    assert host.has("b", "c")
    status, said = host.load("large")
    assert (status, said["fault"]) == (422, "data")
    assert "more than the 12 bytes" in said["message"]
    host.use("b")
    assert host.has("b", "c")


def test_a_model_is_loaded_as_it_is_now(host_of):
    host = host_of()
    host.put("a", kind="odd")
    assert host.load("a")[0] == 502
    host.put("a")
    assert not host.use("a")
    host.put("a", kind="odd")
    assert host.use("a"), "what is loaded stays as it is"


def test_the_host_cannot_lead_the_shim_astray(host_of, tmp_path):
    host = host_of()
    host.put("a")
    assert host.ask("/escape", str(tmp_path), host.seen.socket)[0] == 200
    status, said = host.load("a")
    assert status in {422, 503}, said
    assert os.listdir(tmp_path) == []


def test_the_door_is_not_inside(confined, host_of):
    host = host_of()
    assert os.path.exists(host.seen.models_socket)
    assert host.ask("/exists", host.seen.models_socket, host.seen.socket) == (200, False)
    confined.executor.stop(host.spec.job, host.spec.host)
    assert confined.ended(host.spec).outcome is Outcome.STOPPED
    assert not os.path.exists(host.seen.models_socket)


def test_a_task_has_no_models_on_demand(world):
    with pytest.raises(InvalidSpec, match="for services"):
        world.spec("pass", on_demand=OnDemand("s3://bucket/prefix/"))
