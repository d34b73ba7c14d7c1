"""Claim: a training job's first line runs in the time that a process takes to start, not in the seconds of a scheduler.

From CreateTrainingJob to the first line of the user's code, against a plain process start (the limit) and against
`ray job submit`, where Ray can be installed.
"""

import io
import shutil
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

from benchmarks import peers
from benchmarks.clary_server import clary
from clary.testing import Server

_ROUNDS = 5
_ROLE = "arn:aws:iam::000000000000:role/Benchmark"
_LINE = "import time; print('first line', time.time(), flush=True)"
_RAY = ("ray[default]",)


def run(seconds: float) -> None:
    """`seconds` has no meaning here: each way starts a handful of jobs."""
    with clary() as server:
        _store_source(server)
        rows = {"a process, started by hand": [_by_hand() for _ in range(_ROUNDS)]}
        rows["Clary, own command"] = [_job(server, _command(), number) for number in range(_ROUNDS)]
        _job(server, _script(), 100)
        rows["Clary, script mode"] = [_job(server, _script(), 200 + number) for number in range(_ROUNDS)]
    rows |= _ray()
    print("\nTraining launch: from the request to the first line of the user's code")
    print(f"  {'':28}{'median ms':>11}{'best ms':>11}{'worst ms':>11}")
    for name, found in rows.items():
        print(
            f"  {name:28}{statistics.median(found) * 1e3:>11,.0f}{min(found) * 1e3:>11,.0f}{max(found) * 1e3:>11,.0f}"
        )


def _by_hand() -> float:
    started = time.time()
    output = subprocess.run([sys.executable, "-c", _LINE], capture_output=True, text=True, check=True).stdout
    return _first_line(output.splitlines()) - started


def _first_line(lines: list[str]) -> float:
    return next(float(line.rpartition(" ")[2]) for line in lines if "first line" in line)


def _command() -> dict[str, Any]:
    """A job that runs a command of its own in a generic Python image."""
    return {"AlgorithmSpecification": {"TrainingImage": "python:3", "ContainerEntrypoint": ["python", "-c", _LINE]}}


def _script() -> dict[str, Any]:
    """A job in script mode, as the SDK's SKLearn estimator sends it."""
    hyperparameters = {
        "sagemaker_program": '"train.py"',
        "sagemaker_submit_directory": '"s3://bench-source/sourcedir.tar.gz"',
    }
    return {
        "AlgorithmSpecification": {"TrainingImage": "sagemaker-scikit-learn:1.2-1"},
        "HyperParameters": hyperparameters,
    }


def _store_source(server: Server) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("train.py")
        member.size = len(_LINE)
        tar.addfile(member, io.BytesIO(_LINE.encode()))
    s3 = server.client("s3")
    s3.create_bucket(Bucket="bench-source")
    s3.put_object(Bucket="bench-source", Key="sourcedir.tar.gz", Body=packed.getvalue())


def _job(server: Server, how: dict[str, Any], number: int) -> float:
    sagemaker, logs = server.client("sagemaker"), server.client("logs")
    name = f"bench-{number}"
    sagemaker.list_training_jobs(MaxResults=1)  # so that the client's own connection is not part of the time
    how["AlgorithmSpecification"]["TrainingInputMode"] = "File"
    started = time.time()
    sagemaker.create_training_job(
        TrainingJobName=name,
        RoleArn=_ROLE,
        OutputDataConfig={"S3OutputPath": "s3://bench-source/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        **how,
    )
    pause = Event()
    while True:
        described = sagemaker.describe_training_job(TrainingJobName=name)
        if described["TrainingJobStatus"] == "Completed":
            break
        if described["TrainingJobStatus"] in {"Failed", "Stopped"}:
            raise RuntimeError(described.get("FailureReason", "the job was stopped"))
        pause.wait(0.1)
    group = "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
    events = logs.get_log_events(logGroupName=group, logStreamName=streams[0]["logStreamName"], startFromHead=True)
    return _first_line([event["message"] for event in events["events"]]) - started


def _ray() -> dict[str, list[float]]:
    try:
        folder = peers.environment("ray", _RAY)
    except subprocess.CalledProcessError:
        print("Ray cannot be installed here; it is left out.", file=sys.stderr)
        return {}
    with _ray_cluster(str(folder / "ray")) as address:
        python = shutil.which("python", path=str(folder)) or sys.executable
        submit = [str(folder / "ray"), "job", "submit", "--address", address, "--", python, "-c", _LINE]
        found = []
        for _ in range(3):
            started = time.time()
            output = subprocess.run(submit, capture_output=True, text=True, check=True, timeout=120).stdout
            lines = [line for line in output.splitlines() if line.startswith("first line")]
            found.append(_first_line(lines) - started)
        return {"ray job submit": found}


@contextmanager
def _ray_cluster(ray: str) -> Iterator[str]:
    port, dashboard = peers.free_port(), peers.free_port()
    command = [
        *(ray, "start", "--head", "--block", "--num-cpus", "2", "--port", str(port), "--disable-usage-stats"),
        *("--include-dashboard", "true", "--dashboard-host", "127.0.0.1", "--dashboard-port", str(dashboard)),
    ]
    with peers.started(command, dashboard):
        yield f"http://127.0.0.1:{dashboard}"
