"""The built-in XGBoost as training jobs: one host and two learn the same."""

import random

import pytest

from clary.systems.training.tests.conftest import BUCKET, World, channel

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"


def rows(seed: int, count: int = 600) -> bytes:
    """label, x, y with label = 3x - 2y and a little noise."""
    dice = random.Random(seed)
    points = [(dice.uniform(-1, 1), dice.uniform(-1, 1)) for _ in range(count)]
    return "\n".join(f"{3 * x - 2 * y + dice.gauss(0, 0.05):.4f},{x:.4f},{y:.4f}" for x, y in points).encode()


def train(world: World, name: str, hosts: int) -> dict[str, float]:
    """Train, and return the final metrics."""
    world.create(
        name,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        HyperParameters={"objective": "reg:squarederror", "num_round": "40", "eta": "0.3", "max_depth": "4"},
        InputDataConfig=[
            channel(
                "train",
                f"s3://{BUCKET}/xgb/train/",
                source={"S3DataDistributionType": "ShardedByS3Key"},
                ContentType="text/csv",
            ),
            channel("validation", f"s3://{BUCKET}/xgb/validation/", ContentType="text/csv"),
        ],
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": hosts, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 120},
    )
    job = world.ended(name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert world.keys(f"out/{name}/output/") == [f"out/{name}/output/model.tar.gz"]
    return {one["MetricName"]: one["Value"] for one in job["FinalMetricDataList"]}


@pytest.mark.slow
def test_two_hosts_learn_what_one_does(world: World) -> None:
    for part in range(4):
        world.put(f"xgb/train/{part}.csv", rows(part))
    world.put("xgb/validation/0.csv", rows(99))
    one = train(world, "xgb-one", 1)
    two = train(world, "xgb-two", 2)
    assert one["validation:rmse"] < 0.2, "a constant would score about 2"
    assert two["validation:rmse"] == pytest.approx(one["validation:rmse"], rel=0.1)
    assert two["train:rmse"] == pytest.approx(one["train:rmse"], rel=0.1)


@pytest.mark.slow
def test_a_hyperparameter_that_makes_no_sense_is_named(world: World) -> None:
    world.put("xgb/train/0.csv", rows(0))
    world.create(
        "xgb-wrong",
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        HyperParameters={"num_round": "5", "max_depth": "deep"},
        InputDataConfig=[channel("train", f"s3://{BUCKET}/xgb/train/", ContentType="text/csv")],
    )
    job = world.ended("xgb-wrong")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: ")
    assert "max_depth" in job["FailureReason"]
