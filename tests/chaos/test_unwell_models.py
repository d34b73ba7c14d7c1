"""A model server that is killed, hangs, leaks or answers garbage: its callers get a ModelError, it is replaced, and
nobody else notices."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from clary.executors.process import memory
from clary.executors.process.bubblewrap import unavailable
from clary.kernel.jobs.contract import Observation
from clary.kernel.jobs.folder import HostFolder
from clary.kernel.rooms import Platform
from clary.kernel.serving.routes import DOMAIN, load_route, route_key
from clary.systems.endpoints.records import Endpoint
from clary.systems.endpoints.tests.conftest import SKLEARN, Serving, eventually, script_model
from clary.testing import Server

pytestmark = pytest.mark.slow

UNWELL = """
import json, pathlib, re, threading, uuid

LEAKED = []

def model_fn(model_dir):
    return str(uuid.uuid4())

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    if data in ("hold", "hog"):
        pathlib.Path("/opt/ml", data).touch()
    if data == "hold":
        threading.Event().wait()
    if data == "hog":
        re.match("(a+)+$", "a" * 64 + "b")  # never lets another thread run, nor a signal's handler
    if data == "leak":
        LEAKED.append(bytearray(b"x") * (64 << 20))
    return model

def output_fn(prediction, accept):
    return json.dumps(prediction), "application/json"
"""

IMPOSTOR = r"""
import os, socket, threading

BODY = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
MIB = b"x" * (1 << 20)
OTHER = BODY % (5, b"other")

def pieces(body):
    if body == b"noise":
        yield b"\x00\xff noise\r\n\r\n" * 1000
    elif body == b"half":
        yield b"HTTP/1.1 200 OK\r\nContent-Le"
    elif body == b"short":
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"
    elif body == b"negative":
        yield b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"
    elif body == b"headers":
        yield b"HTTP/1.1 200 OK\r\n"
        while True:
            yield b"X-More: and more\r\n" * 1000
    elif body == b"header":
        yield b"HTTP/1.1 200 OK\r\nX-Endless: "
        while True:
            yield MIB
    elif body == b"continue":
        while True:
            yield b"HTTP/1.1 100 Continue\r\n\r\n" * 1000
    elif body == b"trailers":
        yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        while True:
            yield b"X-Trailer: and more\r\n" * 1000
    elif body == b"upgrade":
        yield b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n"
    elif body == b"gigabyte":
        yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 30)
        for _ in range(1024):
            yield MIB
    elif body == b"chunks":
        yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        while True:
            yield b"100000\r\n" + MIB + b"\r\n"
    elif body.startswith(b"twice"):
        yield BODY % (len(body), body) + OTHER
    elif body.startswith(b"longer"):
        yield BODY % (len(body), body) + b"HTTP/1.1 200"
    else:
        yield BODY % (len(body), body)

BREAKS = (b"noise", b"half", b"short")

def serve(connection):
    with connection, connection.makefile("rb") as file:
        try:
            while line := file.readline():
                size = 0
                while (header := file.readline()) not in (b"\r\n", b""):
                    name, _, value = header.partition(b":")
                    size = int(value) if name.lower() == b"content-length" else size
                body = file.read(size)
                for piece in pieces(b"" if line.startswith(b"GET") else body):
                    connection.sendall(piece)
                if body in BREAKS:
                    return
        except OSError:
            pass

def accept(listener):
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

def model_fn(model_dir):
    path = os.environ["CLARY_BIND_UNIX_SOCKET"]
    os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    threading.Thread(target=accept, args=(listener,), daemon=True).start()

def predict_fn(data, model):
    return data
"""


@pytest.fixture
def patient(server: Server, unique: Callable[[str], str]) -> Iterator[Serving]:
    """Endpoints whose callers wait longer than a gateway does, and never ask twice."""
    made = Serving(server, unique)
    config = Config(retries={"max_attempts": 0}, read_timeout=100, max_pool_connections=32, inject_host_prefix=False)
    made.runtime = server.client("sagemaker-runtime", config=config)
    yield made
    made.delete_all()


def unwell(serving: Serving, **environment: str) -> str:
    """The name of a model that does what it is told."""
    name = serving.unique("unwell")
    container = {
        "Image": SKLEARN,
        "ModelDataUrl": serving.store(script_model(script=UNWELL)),
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py", **environment},
    }
    role = "arn:aws:iam::000000000000:role/Anything"
    serving.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=role)
    return name


def record(serving: Serving, name: str) -> Endpoint:
    platform = Platform(serving.server.settings)
    try:
        entry = platform.records(Endpoint).within("000000000000", "us-east-1").get(name)
        assert entry is not None
        return entry.value
    finally:
        platform.close()


def folders(serving: Serving, name: str) -> list[HostFolder]:
    """The hosts that serve an endpoint now."""
    serves = record(serving, name).serving
    instances = serves.instances if serves else []
    return [HostFolder(serving.server.home, one.job, host) for one in instances for host in one.hosts]


def routed(serving: Serving, name: str) -> int:
    """How many servers requests may go to."""
    platform = Platform(serving.server.settings)
    try:
        table = platform.kv(DOMAIN).get(route_key("000000000000", "us-east-1", name))
        return sum(len(target.servers) for target in load_route(table).targets) if table is not None else 0
    finally:
        platform.close()


def seen(folder: HostFolder) -> Observation:
    found = folder.observe()
    assert found is not None
    return found


def busy(serving: Serving, name: str, what: str) -> HostFolder:
    """Whose server has begun to `what`."""
    found: HostFolder = eventually(
        lambda: next((folder for folder in folders(serving, name) if (folder.ml / what).exists()), None)
    )
    return found


def refusal(asked: "Future[bytes]") -> dict[str, Any]:
    """The ModelError that a caller got."""
    error = asked.exception(180)
    assert isinstance(error, ClientError), error
    response: dict[str, Any] = error.response
    assert response["Error"]["Code"] == "ModelError", response
    return response


@contextmanager
def asked_meanwhile(serving: Serving, name: str, servers: int = 1) -> Iterator[list[str]]:
    """Somebody asks an endpoint all the time, one request after another; each must be answered. Who answered: at first
    each of its servers."""
    stop, answers, failures = threading.Event(), [], []  # type: ignore[var-annotated]

    def ask() -> None:
        while not stop.is_set():
            try:
                answers.append(json.loads(serving.ask(name, '"who"')))
            except Exception as error:  # noqa: BLE001  # whatever it is, it must not be
                failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        eventually(lambda: len(set(answers)) == servers or failures)
        yield answers
    finally:
        stop.set()
        thread.join()
    assert failures == []


def replaced(serving: Serving, name: str, folder: HostFolder, answers: list[str], number: int) -> None:
    """Wait until another server answers in place of the one that `folder` was of, the endpoint's `number`-th in all."""
    eventually(lambda: folder.job not in {one.job for one in folders(serving, name)})
    eventually(lambda: len(set(answers)) >= number)
    assert serving.describe(name)["EndpointStatus"] == "InService"


def others_answer(serving: Serving, name: str, servers: int, answers: list[str]) -> None:
    """Wait until all servers are well, and whoever asks goes to one that is not busy: a request that is with a server
    which dies is lost."""
    eventually(lambda: routed(serving, name) == servers)
    count = len(answers)
    eventually(lambda: len(answers) > count + 10)


def victim(what: str, folder: HostFolder) -> int:
    host = seen(folder)
    assert host.pid is not None
    assert host.shim_pid is not None
    first = psutil.Process(host.pid)
    if what == "server" and not unavailable():
        return int(first.children()[0].pid)
    return {"server": host.pid, "sandbox": first.ppid(), "shim": host.shim_pid}[what]


def test_killed(patient: Serving) -> None:
    name = patient.in_service(patient.config(unwell(patient), count=2))
    with ThreadPoolExecutor() as pool, asked_meanwhile(patient, name, servers=2) as answers:
        for number, what in enumerate(("server", "sandbox", "shim"), start=3):
            for folder in folders(patient, name):
                (folder.ml / "hold").unlink(missing_ok=True)
            waiting = pool.submit(patient.ask, name, '"hold"')
            folder = busy(patient, name, "hold")
            others_answer(patient, name, 2, answers)
            os.kill(victim(what, folder), signal.SIGKILL)
            response = refusal(waiting)
            assert response["OriginalStatusCode"] == 0
            assert "closed the connection" in response["OriginalMessage"], what
            replaced(patient, name, folder, answers, number)
            others_answer(patient, name, 2, answers)


def test_hanging(patient: Serving) -> None:
    """One waits for ever, one lets nothing else run, the third answers on."""
    name = patient.in_service(patient.config(unwell(patient, SAGEMAKER_MODEL_SERVER_TIMEOUT="30"), count=3))
    with ThreadPoolExecutor() as pool, asked_meanwhile(patient, name, servers=3) as answers:
        hog = pool.submit(patient.ask, name, '"hog"')
        hogs = busy(patient, name, "hog")
        hold = pool.submit(patient.ask, name, '"hold"')
        holds = busy(patient, name, "hold")
        assert holds.job != hogs.job
        response = refusal(hold)
        assert response["OriginalStatusCode"] == 504
        assert "did not answer within 30 s" in response["OriginalMessage"]
        replaced(patient, name, holds, answers, 4)
        response = refusal(hog)
        assert response["OriginalStatusCode"] == 0
        replaced(patient, name, hogs, answers, 5)
        others_answer(patient, name, 3, answers)


@pytest.mark.skipif(not memory.available(), reason="no control group can be made here: memory is not limited")
@pytest.mark.skipif(bool(unavailable()), reason="memory is limited in sandboxes, and there are none here")
def test_leaking(patient: Serving) -> None:
    neighbour = patient.endpoint(patient.config(unwell(patient)))
    config = patient.unique("config")
    serverless = {"MemorySizeInMB": 1024, "MaxConcurrency": 1, "ProvisionedConcurrency": 1}
    variant = {"VariantName": "v", "ModelName": unwell(patient), "ServerlessConfig": serverless}
    patient.sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=[variant])
    name = patient.in_service(config)
    assert patient.settled(neighbour)["EndpointStatus"] == "InService"
    (folder,) = folders(patient, name)
    with ThreadPoolExecutor() as pool, asked_meanwhile(patient, neighbour) as answers:
        for _ in range(17):
            leak = pool.submit(patient.ask, name, '"leak"')
            if leak.exception(180) is not None:
                break
        else:
            raise AssertionError("17 times 64 MiB were not too much for 1 GiB")
        response = refusal(leak)
        assert response["OriginalStatusCode"] == 0
        assert "closed the connection" in response["OriginalMessage"]
        eventually(lambda: folder.job not in {one.job for one in folders(patient, name)})
        assert json.loads(patient.ask(name, '"who"'))
        assert patient.describe(name)["EndpointStatus"] == "InService"
        serves = record(patient, name).serving
        assert serves is not None
        assert [one.reason[:31] for one in serves.instances] == ["The host ran out of memory: it "]
        count = len(answers)
        eventually(lambda: len(answers) > count)
        assert len(set(answers)) == 1, "the neighbour was not started again"


def test_garbage(patient: Serving) -> None:
    name = patient.in_service(patient.config(patient.model(script_model(script=IMPOSTOR))))
    broken = [
        "noise",
        "half",
        "short",
        "negative",
        "headers",
        "header",
        "continue",
        "trailers",
        "upgrade",
        "gigabyte",
        "chunks",
    ]
    (gateway,) = patient.server.processes("gateway")
    assert patient.ask(name, "well") == b"well"
    before = peak_bytes(gateway.pid)
    with ThreadPoolExecutor(8) as pool:
        asked: dict[str, Future[bytes]] = {}
        for number in range(60):
            for kind in ("twice", "longer", "echo"):
                asked[f"{kind}-{number}"] = pool.submit(patient.ask, name, f"{kind}-{number}")
            if number % 5 == 0:
                kind = broken[number // 5 % len(broken)]
                response = refusal(pool.submit(patient.ask, name, kind))
                assert response["OriginalStatusCode"] == 0, kind
                assert "timed out" not in response["OriginalMessage"], kind
        assert {text: one.result(180).decode() for text, one in asked.items()} == {text: text for text in asked}
    assert peak_bytes(gateway.pid) - before < 200 << 20
    streamed = patient.runtime.invoke_endpoint_with_response_stream(EndpointName=name, Body="echo")
    assert b"".join(event["PayloadPart"]["Bytes"] for event in streamed["Body"]) == b"echo"
    assert patient.ask(name, "well") == b"well"


def peak_bytes(pid: int) -> int:
    """The most memory that a process has ever had at once."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the system does not say")
