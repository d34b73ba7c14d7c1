"""Kill -9 any process while a pipeline runs: the execution goes on where it was, and no step runs twice.

Locally, for longer: CLARY_CHAOS_ROUNDS=10 pytest tests/chaos/test_pipelines.py
"""

import json
import os
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from tests.chaos.killing import kill_next, nobody_left, wait_until

from clary.testing import Server, reserved_port, start_server, stop_server

ROUNDS = int(os.environ.get("CLARY_CHAOS_ROUNDS", "1"))
VICTIMS = ("controller", "gateway", "supervisor", "controller", "carrier", "gateway", "controller")
BUCKET = "pipeline-storm"
ROLE = "arn:aws:iam::000000000000:role/clary-execution-role"
# Each run of a step leaves a mark with a name of its own in the step's output.
MARK = "sleep 0.5; echo done > /opt/ml/processing/output/$(cat /proc/sys/kernel/random/uuid)"


def step(name: str, *after: str) -> dict[str, Any]:
    output = {"S3Uri": f"s3://{BUCKET}/", "LocalPath": "/opt/ml/processing/output", "S3UploadMode": "EndOfJob"}
    output["S3Uri"] = {"Std:Join": {"On": "/", "Values": [f"s3://{BUCKET}", execution_id(), name]}}
    return {
        "Name": name,
        "Type": "Processing",
        "DependsOn": list(after),
        "Arguments": {
            "RoleArn": ROLE,
            "AppSpecification": {"ImageUri": "python:3", "ContainerEntrypoint": ["bash", "-c", MARK]},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.t3.medium", "VolumeSizeInGB": 1}
            },
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "mark", "S3Output": output}]},
        },
    }


def execution_id() -> dict[str, str]:
    return {"Get": "Execution.PipelineExecutionId"}


def ten_steps() -> list[dict[str, Any]]:
    """A diamond of four in the middle of two chains."""
    middle = [step(f"middle-{number}", "second") for number in range(4)]
    joined = step("joined", *(one["Name"] for one in middle))
    tail = [step("late", "joined"), step("later", "late"), step("last", "later")]
    return [step("first"), step("second", "first"), *middle, joined, *tail]


def client(server: Server, name: str) -> Any:
    return server.client(name, config=Config(retries={"max_attempts": 2}, read_timeout=60, inject_host_prefix=False))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_an_execution_survives_its_platform(number: int, tmp_path: Path) -> None:
    chance = random.Random(number)
    folder = tmp_path / "home"
    killed: list[str] = []
    with reserved_port() as port:
        storm(folder, f"127.0.0.1:{port}", chance, killed)
    assert killed == list(VICTIMS)
    nobody_left(folder)


def storm(folder: Path, listen: str, chance: random.Random, killed: list[str]) -> None:
    server = start_server(folder, "--listen", listen)
    try:
        client(server, "s3").create_bucket(Bucket=BUCKET)
        sagemaker = client(server, "sagemaker")
        definition = json.dumps({"Version": "2020-12-01", "Steps": ten_steps()})
        sagemaker.create_pipeline(
            PipelineName="storm", PipelineDefinition=definition, RoleArn=ROLE, ClientRequestToken="storm" * 8
        )
        arn = sagemaker.start_pipeline_execution(PipelineName="storm", ClientRequestToken="start" * 8)[
            "PipelineExecutionArn"
        ]
        pause = threading.Event()
        for victim in VICTIMS:
            pause.wait(chance.uniform(0.2, 2.0))
            killed += kill_next(folder, victim, chance)
            if victim == "supervisor":
                server.process.wait(30)
                server = start_server(folder, "--listen", listen)
        sagemaker, s3 = client(server, "sagemaker"), client(server, "s3")
        ended = wait_until(lambda: at_its_end(sagemaker, arn), "the execution ends")
        steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn, MaxResults=100)[
            "PipelineExecutionSteps"
        ]
        assert ended["PipelineExecutionStatus"] == "Succeeded", [one.get("FailureReason") for one in steps]
        names = sorted(one["Name"] for one in ten_steps())
        assert sorted(one["StepName"] for one in steps) == names
        jobs = sagemaker.list_processing_jobs(MaxResults=100)["ProcessingJobSummaries"]
        assert len(jobs) == len(names), "a job for each step, and no other"
        marks = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
        assert sorted(mark["Key"].split("/")[1] for mark in marks) == names, "each step left one mark"
        again = sagemaker.start_pipeline_execution(PipelineName="storm", ClientRequestToken="start" * 8)
        assert again["PipelineExecutionArn"] == arn
    finally:
        stop_server(server)


def at_its_end(sagemaker: Any, arn: str) -> dict[str, Any] | None:
    found: dict[str, Any] = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
    return None if found["PipelineExecutionStatus"] == "Executing" else found
