"""Claim: an endpoint answers a row with less CPU and sooner than the frameworks people serve models with, with
signature, routing, metrics and a process of its own for the model included.

InvokeEndpoint of an echo and of an XGBoost model (100 trees, one row), at 1, 16 and 64 connections, against FastAPI,
gunicorn with Flask, LitServe, BentoML, MLServer and Ray Serve with the same model, and bare uvicorn as the floor. Every
request to Clary passes two processes; the share of the gateway is shown apart.
"""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from subprocess import CalledProcessError
from tempfile import TemporaryDirectory
from threading import Event

import numpy
import xgboost

from benchmarks import frameworks
from benchmarks.clary_server import clary, deploy, gateways, port_of, processes, request
from benchmarks.compare import Subject, show, side_by_side
from benchmarks.frameworks import Job, Peer
from benchmarks.load import ask
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
_ROW = b"0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1.0,0.11,0.12,0.13"
_PAYLOAD = b'{"instances":[[%s]]}' % _ROW  # as compact as any framework writes it, so that all echo the same bytes
_START_SECONDS = 300
_TRIES = 3  # some give their own parts little time to start, which a busy machine does not keep


def run(seconds: float) -> None:
    with TemporaryDirectory() as folder, ExitStack() as stack:
        model, score = _train(Path(folder))
        peers = list(_start(stack, Job(model, _PAYLOAD, _ROW), score))
        server = stack.enter_context(clary())
        deploy(server, "echo", {"code/inference.py": _ECHO.encode()}, "sagemaker-scikit-learn:1.2-1")
        deploy(server, "trees", {"xgboost-model": model.read_bytes()}, "sagemaker-xgboost:1.7-1")
        _same(ask(port_of(server), _request(server, "echo"))[1], _PAYLOAD)
        _close(ask(port_of(server), _request(server, "trees"))[1], score)
        print("\nPeers: " + "; ".join(peer.versions for peer in peers), flush=True)
        for connections in (1, 16, 64):
            _compare(f"InvokeEndpoint: echo, {connections} connection(s)", server, "echo", peers, connections, seconds)
            title = f"InvokeEndpoint: XGBoost, 100 trees, one row, {connections} connection(s)"
            _compare(title, server, "trees", peers, connections, seconds)
        title = "InvokeEndpoint when full: XGBoost, 256 connections"
        _compare(title, server, "trees", peers, 256, seconds, rounds=1)


def _start(stack: ExitStack, job: Job, score: float) -> Iterator[Peer]:
    """Start the frameworks, one after the other. One that cannot be installed or does not get ready is left out."""
    for start in frameworks.ALL:
        for _ in range(_TRIES):
            with ExitStack() as attempt:
                try:
                    peer = attempt.enter_context(start(job))
                except CalledProcessError as error:
                    print(f"{start.__name__} cannot be installed here and is left out: {error}", file=sys.stderr)
                    break
                ready = _answers(peer, score)
                ended = not peer.processes()
                if ready:
                    stack.push(attempt.pop_all())
                    yield peer
            if ready or not ended:
                break


def _answers(peer: Peer, score: float) -> bool:
    """Wait until the framework answers both requests, and rightly."""
    until = time.monotonic() + _START_SECONDS
    pause, why = Event(), ""
    while time.monotonic() < until and peer.processes():
        try:
            _same(_body(peer, peer.echo), _PAYLOAD)
            if peer.row is not None:
                _close(_body(peer, peer.row), score)
        except (OSError, HTTPException, ValueError) as error:
            why = str(error)
            pause.wait(0.2)
        else:
            print(f"{peer.name} is ready", file=sys.stderr)
            return True
    print(f"{peer.name} did not get ready: {why or 'it ended'}", file=sys.stderr)
    return False


def _body(peer: Peer, asked: bytes) -> bytes:
    status, body = ask(peer.port, asked)
    if status != 200:
        raise ValueError(f"it answers {status}: {body[:200]!r}")
    return peer.body_of(body)


def _same(body: bytes, expected: bytes) -> None:
    if body != expected:
        raise ValueError(f"the echo of {expected!r} is {body!r}")


def _close(body: bytes, score: float) -> None:
    if not math.isclose(float(body), score, rel_tol=1e-5):
        raise ValueError(f"the row's score is {body!r} where it should be {score}")


def _compare(
    title: str, server: Server, name: str, peers: list[Peer], connections: int, seconds: float, rounds: int = 3
) -> None:
    subjects = [_clary(server, name)]
    for peer in peers:
        asked = peer.echo if name == "echo" else peer.row
        if asked is not None:
            subjects.append(Subject(peer.name, peer.port, [asked], peer.processes))
    show(title, side_by_side(subjects, connections=connections, seconds=seconds, rounds=rounds))


def _clary(server: Server, name: str) -> Subject:
    """Signed for each table anew, since a signature lasts 15 minutes."""
    return Subject(
        "Clary",
        port_of(server),
        [_request(server, name)],
        processes(server),
        part=("the gateway", gateways(server)),
    )


def _request(server: Server, name: str) -> bytes:
    body, content_type = (_PAYLOAD, "application/json") if name == "echo" else (_ROW, "text/csv")
    path = f"/endpoints/{name}/invocations"
    return request(server, "POST", path, "sagemaker", body=body, headers={"Content-Type": content_type})


def _train(folder: Path) -> tuple[Path, float]:
    """A model of 100 trees, and what it says about the row."""
    rng = numpy.random.default_rng(0)
    rows = rng.random((2000, 13), dtype=numpy.float32)
    parameters = {"max_depth": 6, "nthread": 1}  # threads wait for each other where others work, too
    booster = xgboost.train(parameters, xgboost.DMatrix(rows, label=rows.sum(axis=1)), num_boost_round=100)
    path = folder / "model.ubj"
    booster.save_model(path)
    row = numpy.array([[float(part) for part in _ROW.split(b",")]], numpy.float32)
    return path, float(booster.inplace_predict(row)[0])
