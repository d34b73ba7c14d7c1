"""Kill -9 any process at any moment: the next start heals what it left.

Each round runs the main job's steps against one home and kills one process at a random moment; at the end every
acknowledged object must be whole, every job at its end, the main job possible again, and nothing orphaned.
"""

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tests.chaos.killing import PATIENCE_SECONDS, kill_next, nobody_left, wait_until

from clary.kernel.core.ids import short_id
from clary.testing import Server, start_server, stop_server

ROUNDS = 20
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
TERMINAL = {"Completed", "Failed", "Stopped"}
VICTIMS = ("supervisor", "gateway", "controller", "carrier", "shim", "nursery")


def clients(server: Server) -> tuple[Any, Any, Any]:
    patient = Config(retries={"max_attempts": 2}, read_timeout=20, inject_host_prefix=False)
    return tuple(server.client(name, config=patient) for name in ("s3", "sagemaker", "sagemaker-runtime"))  # type: ignore[return-value]


def run_main_job(server: Server, acknowledged: dict[str, str], jobs: list[str]) -> None:
    """Upload, train, deploy, invoke, delete; note what was acknowledged as it is."""
    s3, sagemaker, runtime = clients(server)
    name = f"kill-{short_id(8)}"
    rows = "".join(f"{i % 2},{i % 2 + random.random() / 3:.4f},{random.random():.4f}\n" for i in range(300))
    for key in (f"{name}/train/a.csv", f"{name}/small.txt"):
        s3.put_object(Bucket="kill-bucket", Key=key, Body=rows.encode())
        acknowledged[key] = hashlib.sha256(rows.encode()).hexdigest()
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn="arn:aws:iam::000000000000:role/clary-execution-role",
        HyperParameters={"num_round": "20", "objective": "binary:logistic"},
        InputDataConfig=[
            {
                "ChannelName": "train",
                "ContentType": "text/csv",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://kill-bucket/{name}/train/"}},
            }
        ],
        OutputDataConfig={"S3OutputPath": f"s3://kill-bucket/{name}/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 300},
    )
    jobs.append(name)
    done = wait_until(lambda: _ended(sagemaker, name), f"{name} ends")
    assert done["TrainingJobStatus"] == "Completed", done.get("FailureReason")
    sagemaker.create_model(
        ModelName=name,
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": done["ModelArtifacts"]["S3ModelArtifacts"]},
        ExecutionRoleArn="arn:aws:iam::000000000000:role/clary-execution-role",
    )
    variant = {"VariantName": "v", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    wait_until(
        lambda: sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService", f"{name} serves"
    )
    request = {"EndpointName": name, "ContentType": "text/csv", "Body": b"1.1,0.5"}
    answer = wait_until(lambda: runtime.invoke_endpoint(**request)["Body"].read(), f"{name} answers")
    assert 0.5 < float(answer) <= 1.0
    sagemaker.delete_endpoint(EndpointName=name)
    wait_until(lambda: not _exists(sagemaker, name), f"{name} is deleted")


def _ended(sagemaker: Any, name: str) -> dict[str, Any] | None:
    found = sagemaker.describe_training_job(TrainingJobName=name)
    return found if found["TrainingJobStatus"] in TERMINAL else None


def _exists(sagemaker: Any, name: str) -> bool:
    return any(found["EndpointName"] == name for found in sagemaker.list_endpoints(MaxResults=100)["Endpoints"])


@pytest.mark.slow
def test_twenty_kills(tmp_path: Path) -> None:
    chance = random.Random(20261123)
    folder = tmp_path / "home"
    server = start_server(folder)
    listen = server.endpoint.removeprefix("http://")
    clients(server)[0].create_bucket(Bucket="kill-bucket")
    acknowledged: dict[str, str] = {}
    jobs: list[str] = []
    killed: list[str] = []
    try:
        for number in range(ROUNDS):
            victim = VICTIMS[number % len(VICTIMS)]
            with ThreadPoolExecutor(1) as pool:
                attempt = pool.submit(attempt_main_job, server, acknowledged, jobs)
                wait([attempt], timeout=chance.uniform(0.0, 4.0))
                killed += kill_next(folder, victim, chance, unless=attempt.done)
                if victim == "supervisor":
                    server.process.wait(30)
                    server = start_server(folder, "--listen", listen)
                attempt.result(3 * PATIENCE_SECONDS)
        run_main_job(server, acknowledged, jobs)
        check(server, acknowledged, jobs)
    finally:
        stop_server(server)
    assert set(killed) == set(VICTIMS), f"some role was never running when its turn came: {killed}"
    nobody_left(folder)


def attempt_main_job(server: Server, acknowledged: dict[str, str], jobs: list[str]) -> None:
    """The main job, whose calls may fail while the server is away."""
    with suppress(BotoCoreError, ClientError):
        run_main_job(server, acknowledged, jobs)


def check(server: Server, acknowledged: dict[str, str], jobs: list[str]) -> None:
    s3, sagemaker, _ = clients(server)
    for key, digest in acknowledged.items():
        assert hashlib.sha256(s3.get_object(Bucket="kill-bucket", Key=key)["Body"].read()).hexdigest() == digest, key
    for name in jobs:
        done = wait_until(lambda name=name: _ended(sagemaker, name), f"{name} ends")
        assert done["TrainingJobStatus"] == "Completed", (name, done.get("FailureReason"))
        artifact = done["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://kill-bucket/")
        assert s3.head_object(Bucket="kill-bucket", Key=artifact)["ContentLength"] > 0
