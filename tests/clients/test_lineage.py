"""The SageMaker SDKs over the lineage that real jobs and endpoints leave."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.clients.environments import Environment

pytestmark = pytest.mark.client
Environments = Callable[[str], Environment]

OF_AN_ENDPOINT = ["DataSet", "Endpoint", "Image", "Model", "ModelDeployment", "TrainingJob"]
TABLE = [["Input", "ModelDeployment", "AssociatedWith", "action"]]
# image and data set to the job, the job to its model, model and image to the deployment, that to the endpoint
EDGES = 6


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_lineage(environment: Environments, flights: Path, version: str) -> None:
    result = environment(f"sagemaker-{version}").run(f"{version}_lineage.py", str(flights), timeout=600)
    assert all(result["right"]), result["right"]
    assert (result["types"], result["edges"], result["table"]) == (OF_AN_ENDPOINT, EDGES, TABLE)
