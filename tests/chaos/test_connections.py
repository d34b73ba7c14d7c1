"""Two thousand connections, and clients that are slow, half-closed or gone: the gateway stays well.

Well means: others are answered meanwhile, memory does not grow with what clients leave untaken, and when the clients
have gone their files and connections are gone too.
"""

import asyncio
import io
import resource
import socket
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from clary.testing import Server, serving

CONNECTIONS = 2000
MIB = 1024 * 1024
PATIENCE_SECONDS = 120.0
ROLE = "arn:aws:iam::000000000000:role/Anything"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
HEALTH = b"GET /_clary/health HTTP/1.1\r\nHost: x\r\n\r\n"

TALKATIVE = """
def model_fn(model_dir):
    return None

def input_fn(body, content_type):
    return int(body)

def predict_fn(data, model):
    return data

def output_fn(count, accept):
    return (b"x" * 65536 for _ in range(count)), "application/octet-stream"
"""


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this machine allows a process {hard} open files, and {wanted} are needed")
    with serving(tmp_path_factory.mktemp("crowd") / "home", "--ephemeral", warm_interpreters=False) as server:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        yield server
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Health:
    """What the gateway had before clients misbehave, and whether it has no more after."""

    def __init__(self, server: Server) -> None:
        patient = Config(retries={"max_attempts": 0}, read_timeout=60)
        self._sts, self._s3 = server.client("sts", config=patient), server.client("s3", config=patient)
        self.check()  # so that what is made once is there
        (self._gateway,) = server.processes("gateway")
        self._files = self._gateway.num_fds()
        self._memory = self._gateway.memory_info().rss

    def check(self) -> None:
        """Others are answered."""
        assert self._sts.get_caller_identity()["Account"]
        assert "Buckets" in self._s3.list_buckets()

    def grown_by(self) -> int:
        """Bytes of memory more than before."""
        return int(self._gateway.memory_info().rss - self._memory)

    def wait_for_files(self) -> None:
        """Every file and connection that came with the clients goes with them."""
        eventually(lambda: self._gateway.num_fds() <= self._files + 8, "files are closed")
        self.check()


def eventually(condition: Callable[[], Any], what: str) -> Any:
    pause = threading.Event()
    for _ in range(int(PATIENCE_SECONDS / 0.1)):
        found = condition()
        if found:
            return found
        pause.wait(0.1)
    raise AssertionError(f"waited {PATIENCE_SECONDS:g} s in vain: {what}")


def where(server: Server) -> tuple[str, int]:
    parts = urlsplit(server.endpoint)
    return parts.hostname or "", parts.port or 0


def signed(server: Server, method: str, path: str, service: str, body: bytes = b"", **headers: str) -> bytes:
    """A whole request."""
    request = AWSRequest(method, f"{server.endpoint}{path}", headers=headers, data=body)
    auth = S3SigV4Auth if service == "s3" else SigV4Auth
    auth(Credentials(server.access_key, server.secret), service, "us-east-1").add_auth(request)
    host, port = where(server)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def caller_identity(server: Server) -> bytes:
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    return signed(server, "POST", "/", "sts", body, **{"Content-Type": "application/x-www-form-urlencoded"})


def narrow(server: Server) -> socket.socket:
    """A client that keeps next to nothing of what it does not read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(PATIENCE_SECONDS)
    client.connect(where(server))
    return client


def vanish(client: socket.socket) -> None:
    """Leave as a client does that crashed: with a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


async def answer(reader: asyncio.StreamReader) -> bytes:
    """One answer that states its length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


def test_two_thousand_connections(crowded: Server) -> None:
    health = Health(crowded)
    identity = caller_identity(crowded)

    async def connect(turns: asyncio.Semaphore) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with turns:
            reader, writer = await asyncio.open_connection(*where(crowded))
            writer.write(HEALTH)
            assert (await answer(reader)).startswith(b"HTTP/1.1 200 ")
            return reader, writer

    async def crowd() -> None:
        turns = asyncio.Semaphore(100)
        clients = await asyncio.gather(*(connect(turns) for _ in range(CONNECTIONS)))
        for number, (_, writer) in enumerate(clients):  # some stop within their head, some within their body
            writer.write(identity[: (0, 40, len(identity) - 10, 0)[number % 4]])
        await asyncio.to_thread(health.check)
        for number, (_, writer) in enumerate(clients):
            writer.write(identity[(0, 40, len(identity) - 10, 0)[number % 4] :])
        for reader, _ in clients:
            assert b"GetCallerIdentityResult" in await answer(reader)
        assert health.grown_by() < CONNECTIONS * 64 * 1024
        for _, writer in clients:
            writer.close()

    asyncio.run(crowd())
    health.wait_for_files()


def test_readers_of_large_objects_that_stop_reading(crowded: Server) -> None:
    s3 = crowded.client("s3")
    s3.create_bucket(Bucket="large")
    s3.put_object(Bucket="large", Key="object", Body=bytes(32 * MIB))
    health = Health(crowded)
    clients = [narrow(crowded) for _ in range(40)]
    for client in clients:
        client.sendall(signed(crowded, "GET", "/large/object", "s3"))
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    health.check()
    assert health.grown_by() < len(clients) * 4 * MIB
    slow, *others = clients
    for client in others:
        vanish(client)
    received = 1000
    while received < 32 * MIB:  # who takes its time still gets all of it
        received += len(slow.recv(16384)) or pytest.fail(f"it ended after {received} bytes")
    slow.close()
    health.wait_for_files()


def test_writers_that_send_a_byte_now_and_then(crowded: Server) -> None:
    health = Health(crowded)
    clients = [socket.create_connection(where(crowded), timeout=PATIENCE_SECONDS) for _ in range(100)]
    request = caller_identity(crowded)
    for start in range(len(request)):
        for client in clients:
            client.sendall(request[start : start + 1])
    for client in clients:
        assert client.recv(20).startswith(b"HTTP/1.1 200 ")
        client.close()
    health.wait_for_files()


def test_half_closed_clients_get_their_answers(crowded: Server) -> None:
    health = Health(crowded)
    for _ in range(50):
        client = socket.create_connection(where(crowded), timeout=PATIENCE_SECONDS)
        client.sendall(caller_identity(crowded))
        client.shutdown(socket.SHUT_WR)
        whole = b""
        while piece := client.recv(65536):
            whole += piece
        assert whole.startswith(b"HTTP/1.1 200 ")
        assert whole.rstrip().endswith(b"</GetCallerIdentityResponse>")
        client.close()
    health.wait_for_files()


def test_clients_that_vanish_in_the_middle_leave_nothing(crowded: Server) -> None:
    s3 = crowded.client("s3")
    s3.create_bucket(Bucket="vanished")
    health = Health(crowded)
    upload = signed(crowded, "PUT", "/vanished/key", "s3", bytes(2 * MIB))
    document = signed(crowded, "POST", "/endpoints/none/invocations", "sagemaker", bytes(2 * MIB))
    for request in (upload, document):
        for close in (vanish, socket.socket.close):
            for _ in range(20):
                client = socket.create_connection(where(crowded), timeout=PATIENCE_SECONDS)
                client.sendall(request[:MIB])
                close(client)
    health.wait_for_files()
    assert s3.list_objects_v2(Bucket="vanished")["KeyCount"] == 0


def test_a_stranger_is_refused_before_its_body_is_read(crowded: Server) -> None:
    body = bytes(30 * MIB)
    stranger = signed(crowded, "POST", "/endpoints/e/invocations", "sagemaker", body)
    stranger = stranger.replace(crowded.access_key.encode(), b"AKIAAAAAAAAAAAAAAAAA", 1)
    client = socket.create_connection(where(crowded), timeout=PATIENCE_SECONDS)
    client.sendall(stranger[:2000])  # and no more: nobody waits for it
    assert b"UnrecognizedClientException" in client.recv(65536)
    client.close()
    client = socket.create_connection(where(crowded), timeout=PATIENCE_SECONDS)
    client.sendall(stranger)  # who sends all the same is told as well
    assert b"UnrecognizedClientException" in client.recv(65536)
    client.close()


@pytest.mark.slow
def test_readers_of_event_streams_that_stop_reading(crowded: Server) -> None:
    deploy(crowded, "talkative")
    runtime = crowded.client("sagemaker-runtime")

    def read(pieces: int) -> int:
        stream = runtime.invoke_endpoint_with_response_stream(EndpointName="talkative", Body=str(pieces))["Body"]
        return sum(len(event["PayloadPart"]["Bytes"]) for event in stream)

    assert read(3) == 3 * 65536
    health = Health(crowded)
    path, endless = "/endpoints/talkative/invocations-response-stream", str(MIB).encode()
    for leave in (vanish, socket.socket.close):
        clients = [narrow(crowded) for _ in range(3)]
        for client in clients:
            client.sendall(signed(crowded, "POST", path, "sagemaker", endless))
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
            client.recv(1000)
        health.check()
        assert read(20) == 20 * 65536
        assert health.grown_by() < 64 * MIB
        for client in clients:
            leave(client)
        health.wait_for_files()


def deploy(server: Server, name: str) -> None:
    """A model that answers with as many pieces as it is asked for."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(TALKATIVE)
        tar.addfile(member, io.BytesIO(TALKATIVE.encode()))
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    s3.create_bucket(Bucket=f"model-{name}")
    s3.put_object(Bucket=f"model-{name}", Key="model.tar.gz", Body=packed.getvalue())
    container = {
        "Image": IMAGE,
        "ModelDataUrl": f"s3://model-{name}/model.tar.gz",
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
    }
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {"VariantName": "All", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    described = eventually(
        lambda: (
            found if (found := sagemaker.describe_endpoint(EndpointName=name))["EndpointStatus"] != "Creating" else 0
        ),
        "the endpoint is made",
    )
    assert described["EndpointStatus"] == "InService", described.get("FailureReason")
