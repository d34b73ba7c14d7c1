"""Claim: an endpoint answers as fast as a bare HTTP server with the same model, signature and routing included.

InvokeEndpoint of an echo and of an XGBoost model (100 trees, one row), against FastAPI and bare uvicorn on the same
model. Clary's requests pass two processes: the gateway's CPU is what Clary adds, the model server's what the model
costs; both are shown.
"""

import io
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import numpy
import xgboost

from benchmarks import peers
from benchmarks.clary_server import clary, gateways, port_of, request
from benchmarks.compare import Subject, show, side_by_side, tree
from benchmarks.signing import plain
from clary.kernel.jobs.folder import HostFolder, hosts
from clary.testing import Server

_ECHO = """
def model_fn(model_dir):
    return None

def input_fn(body, content_type):
    return body

def predict_fn(data, model):
    return data

def output_fn(prediction, accept):
    return prediction, "application/json"
"""
_ROW = "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1.0,0.11,0.12,0.13"
_PAYLOAD = b'{"instances": [[%s]]}' % _ROW.encode()
_ROLE = "arn:aws:iam::000000000000:role/Benchmark"


def run(seconds: float) -> None:
    with TemporaryDirectory() as folder:
        model = _train(Path(folder))
        with (
            clary() as server,
            peers.asgi("bare:echo") as (bare_port, bare_pid),
            peers.asgi("fastapi_models:app", MODEL=str(model)) as (fast_port, fast_pid),
        ):
            _deploy(server, "echo", {"code/inference.py": _ECHO.encode()}, "sagemaker-scikit-learn:1.2-1")
            _deploy(server, "trees", {"xgboost-model": model.read_bytes()}, "sagemaker-xgboost:1.7-1")
            bare = Subject(
                "uvicorn, bare ASGI", bare_port, [plain("POST", bare_port, "/", body=_PAYLOAD)], tree(bare_pid)
            )
            echo = Subject("FastAPI", fast_port, [plain("POST", fast_port, "/echo", body=_PAYLOAD)], tree(fast_pid))
            score = Subject(
                "FastAPI, xgboost",
                fast_port,
                [plain("POST", fast_port, "/invocations", body=_ROW.encode(), content_type="text/csv")],
                tree(fast_pid),
            )
            for connections in (1, 16):
                rows = [*_ours(server, "echo", _PAYLOAD, "application/json"), bare, echo]
                _compare(f"InvokeEndpoint: echo, {connections} connection(s)", rows, connections, seconds)
                rows = [*_ours(server, "trees", _ROW.encode(), "text/csv"), score]
                _compare(f"InvokeEndpoint: XGBoost, 100 trees, {connections} connection(s)", rows, connections, seconds)
            rows = [*_ours(server, "trees", _ROW.encode(), "text/csv"), score]
            _compare("InvokeEndpoint when full: XGBoost, 256 connections", rows, 256, seconds, rounds=1)


def _compare(title: str, subjects: list[Subject], connections: int, seconds: float, rounds: int = 3) -> None:
    show(title, side_by_side(subjects, connections=connections, seconds=seconds, rounds=rounds))


def _ours(server: Server, name: str, body: bytes, content_type: str) -> list[Subject]:
    """The same requests twice: measured at the gateway, and at the gateway and the model server together."""
    path = f"/endpoints/{name}/invocations"
    sent = [request(server, "POST", path, "sagemaker", body=body, headers={"Content-Type": content_type})]
    gateway = gateways(server)
    return [
        Subject("Clary, the gateway", port_of(server), sent, gateway),
        Subject("Clary, with model server", port_of(server), sent, lambda: [*gateway(), *_model_servers(server)]),
    ]


def _model_servers(server: Server) -> list[int]:
    found = (HostFolder(server.home, job, host).observe() for job, host in hosts(server.home))
    return [pid for one in found if one is not None and one.pid is not None for pid in tree(one.pid)()]


def _train(folder: Path) -> Path:
    rng = numpy.random.default_rng(0)
    rows = rng.random((2000, 13), dtype=numpy.float32)
    booster = xgboost.train({"max_depth": 6}, xgboost.DMatrix(rows, label=rows.sum(axis=1)), num_boost_round=100)
    path = folder / "model.ubj"
    booster.save_model(path)
    return path


def _deploy(server: Server, name: str, files: dict[str, bytes], image: str) -> None:
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
