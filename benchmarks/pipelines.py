"""Claim: a step of a pipeline costs a few milliseconds over its own work, with every state of it durable.

A fan-out of a hundred steps and a chain of fifty, whose steps do nothing. Clary's are functions in warm interpreters
(Lambda steps) and processes of their own (Processing steps); Prefect and Dagster run them inside one process, Metaflow
each in a process of its own.
"""

import contextlib
import io
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import orjson

from benchmarks import peers
from benchmarks.clary_server import clary
from clary.testing import Server

FAN, CHAIN = 100, 50

_ROLE = "arn:aws:iam::000000000000:role/Benchmark"
_ROUNDS = 3
_PEER_SECONDS = 300
_PREFECT = {"PREFECT_LOGGING_LEVEL": "ERROR", "DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
_METAFLOW = {"USERNAME": "bench", "METAFLOW_USER": "bench"}
_SHAPES = (("fan", FAN), ("chain", CHAIN))


def run(seconds: float) -> None:
    """`seconds` has no meaning here: each way runs each shape a few times; the best run counts."""
    rows: dict[str, list[float]] = {}
    with clary() as server:
        rows["Clary, Lambda steps"] = [_clary(server, shape, count, _lambda_step) for shape, count in _SHAPES]
        rows["Clary, Processing steps"] = [_clary(server, shape, count, _processing_step) for shape, count in _SHAPES]
    for name, measure in (("Prefect", _prefect), ("Dagster", _dagster), ("Metaflow", _metaflow)):
        with contextlib.suppress(subprocess.SubprocessError):
            rows[name] = [measure(shape, count) for shape, count in _SHAPES]
            continue
        print(f"{name} cannot be installed or run here; it is left out.", file=sys.stderr)
    print("\nPipelines: steps that do nothing")
    print(f"  {'':28}{f'{FAN} at once, s':>16}{'ms a step':>11}{f'{CHAIN} in a row, s':>16}{'ms a step':>11}")
    for name, (fan, chain) in rows.items():
        print(f"  {name:28}{fan:>16.2f}{fan / FAN * 1e3:>11.1f}{chain:>16.2f}{chain / CHAIN * 1e3:>11.1f}")


def _clary(server: Server, shape: str, count: int, step: Callable[[Server], dict[str, Any]]) -> float:
    """The seconds from StartPipelineExecution until the execution has succeeded: the best of a few."""
    sagemaker = server.client("sagemaker")
    how = step(server)
    steps = [
        {**how, "Name": f"step-{number}"}
        | ({"DependsOn": [f"step-{number - 1}"]} if shape == "chain" and number else {})
        for number in range(count)
    ]
    if shape == "fan":
        steps.append({**how, "Name": "total", "DependsOn": [one["Name"] for one in steps]})
    name = f"{shape}-{count}-{how['Type'].lower()}"
    definition = orjson.dumps({"Version": "2020-12-01", "Steps": steps}).decode()
    sagemaker.create_pipeline(
        PipelineName=name,
        PipelineDefinition=definition,
        RoleArn=_ROLE,
        ClientRequestToken=name.ljust(32, "0"),
        ParallelismConfiguration={"MaxParallelExecutionSteps": FAN},
    )
    return min(_execution(sagemaker, name) for _ in range(_ROUNDS))


def _execution(sagemaker: Any, name: str) -> float:
    pause = Event()
    started = time.perf_counter()
    arn = sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
    while True:
        described = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        if described["PipelineExecutionStatus"] == "Succeeded":
            return time.perf_counter() - started
        if described["PipelineExecutionStatus"] not in {"Executing", "Stopping"}:
            raise RuntimeError(described.get("FailureReason", "the execution was stopped"))
        pause.wait(0.02)


def _lambda_step(server: Server) -> dict[str, Any]:
    functions = server.client("lambda")
    with contextlib.suppress(functions.exceptions.ResourceConflictException):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("step.py", "def handler(event, context):\n    return {}\n")
        functions.create_function(
            FunctionName="step",
            Runtime="python3.12",
            Role=_ROLE,
            Handler="step.handler",
            Code={"ZipFile": packed.getvalue()},
        )
        functions.get_waiter("function_active_v2").wait(FunctionName="step")
        functions.invoke(FunctionName="step")
    arn = functions.get_function(FunctionName="step")["Configuration"]["FunctionArn"]
    return {"Type": "Lambda", "FunctionArn": arn, "Arguments": {}}


def _processing_step(_: Server) -> dict[str, Any]:
    arguments = {
        "AppSpecification": {"ImageUri": "python:3", "ContainerEntrypoint": ["/bin/true"]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.t3.medium", "VolumeSizeInGB": 1}
        },
        "RoleArn": _ROLE,
    }
    return {"Type": "Processing", "Arguments": arguments}


def _prefect(shape: str, count: int) -> float:
    with TemporaryDirectory(prefix="clary-bench-", ignore_cleanup_errors=True) as home:
        return _printed("prefect", "prefect_steps.py", shape, count, {"PREFECT_HOME": home, **_PREFECT})


def _dagster(shape: str, count: int) -> float:
    with TemporaryDirectory(prefix="clary-bench-") as home:
        return _printed("dagster", "dagster_steps.py", shape, count, {"DAGSTER_HOME": home})


def _metaflow(shape: str, count: int) -> float:
    """The whole command: what a flow of one step takes is a small part of it."""
    python = peers.environment("metaflow", ("metaflow",)) / "python"
    with TemporaryDirectory(prefix="clary-bench-") as home:
        flow = Path(home) / "flow.py"
        command = [str(python), str(peers.APPS / "metaflow_steps.py"), shape, str(count)]
        flow.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
        variables = {**_METAFLOW, "METAFLOW_HOME": f"{home}/home", "METAFLOW_DATASTORE_SYSROOT_LOCAL": f"{home}/data"}
        started = time.perf_counter()
        _run([str(python), str(flow), "--quiet", "run", "--max-workers", str(os.cpu_count())], variables)
        return time.perf_counter() - started


def _printed(name: str, program: str, shape: str, count: int, variables: dict[str, str]) -> float:
    python = peers.environment(name, (name,)) / "python"
    output = _run([str(python), str(peers.APPS / program), shape, str(count)], variables)
    return next(float(line.split()[1]) for line in output.splitlines() if line.startswith("seconds "))


def _run(command: list[str], variables: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=_PEER_SECONDS,
        cwd=variables.get("METAFLOW_HOME", "").removesuffix("/home") or None,
    )
    return done.stdout
