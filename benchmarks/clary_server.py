"""A throw-away Clary to measure, and what of it works for a request."""

import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from benchmarks.compare import tree
from benchmarks.signing import signed
from clary.kernel.jobs.folder import HostFolder, hosts
from clary.testing import Server, serving

_ROLE = "arn:aws:iam::000000000000:role/Benchmark"


@contextmanager
def clary() -> Iterator[Server]:
    """A server with the settings it comes with, over a home that is removed afterwards."""
    with (
        TemporaryDirectory(prefix="clary-bench-", ignore_cleanup_errors=True) as folder,
        serving(Path(folder) / "h") as server,
    ):
        yield server


def port_of(server: Server) -> int:
    return int(urlsplit(server.endpoint).port or 0)


def gateways(server: Server) -> Callable[[], list[int]]:
    """The gateway processes."""
    return lambda: [process.pid for process in server.processes("gateway")]


def request(server: Server, method: str, path: str, service: str, **options: object) -> bytes:
    """A request signed with the server's default key."""
    keys = {"access_key": server.access_key, "secret": server.secret}
    return signed(method, port_of(server), path, service, **(keys | options))  # type: ignore[arg-type]


def processes(server: Server) -> Callable[[], list[int]]:
    """All that works for a server: its gateways, its controller, and the hosts of its jobs and endpoints."""

    def look() -> list[int]:
        found = (HostFolder(server.home, job, host).observe() for job, host in hosts(server.home))
        pids = [server.process.pid, *(one.pid for one in found if one is not None and one.pid is not None)]
        return sorted({each for pid in pids for each in tree(pid)()})

    return look


def deploy(server: Server, name: str, files: dict[str, bytes], image: str) -> None:
    """Bring an endpoint of one instance into service; `files` are what its model.tar.gz holds."""
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    s3.create_bucket(Bucket=f"bench-{name}")
    s3.put_object(Bucket=f"bench-{name}", Key="model.tar.gz", Body=packed.getvalue())
    container: dict[str, Any] = {"Image": image, "ModelDataUrl": f"s3://bench-{name}/model.tar.gz"}
    if "code/inference.py" in files:
        container["Environment"] = {"SAGEMAKER_PROGRAM": "inference.py"}
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=_ROLE)
    variant = {"VariantName": "All", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    pause = Event()
    for _ in range(1200):
        described = sagemaker.describe_endpoint(EndpointName=name)
        if described["EndpointStatus"] == "InService":
            return
        if described["EndpointStatus"] == "Failed":
            break
        pause.wait(0.1)
    raise RuntimeError(described.get("FailureReason", "the endpoint did not come into service"))
