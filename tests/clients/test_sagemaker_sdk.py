"""The SageMaker Python SDKs, unmodified, after `eval "$(clary env)"` and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.clients.environments import Environment

pytestmark = pytest.mark.client
Environments = Callable[[str], Environment]

ROLE = "arn:aws:iam::000000000000:role/service-role/AmazonSageMaker-ExecutionRole"
ROWS = 2400  # flights that the models have not seen


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_session_without_arguments(environment: Environments, version: str) -> None:
    result = environment(f"sagemaker-{version}").run(f"{version}_session.py")
    assert result["account"] == "000000000000"
    assert result["bucket"] == "sagemaker-us-east-1-000000000000"
    assert result["role"] == ROLE
    assert result["read"] == "hello"


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_built_in_xgboost_trains_deploys_and_answers(environment: Environments, flights: Path, version: str) -> None:
    result = environment(f"sagemaker-{version}").run(f"{version}_xgboost.py", str(flights))
    assert result["rows"] == 500
    assert result["error"] < 0.25 * result["baseline"]
    assert "train-rmse" in result["printed"], "the job's log belongs on the user's screen"


def test_v2_script_mode(environment: Environments, flights: Path) -> None:
    result = environment("sagemaker-v2").run("v2_sklearn.py", str(flights))
    assert result["rows"] == 200
    assert result["error"] < 0.25 * result["baseline"]
    assert result["r2"] > 0.9
    assert "train-r2" in result["printed"]


def test_v3_script_mode(environment: Environments, flights: Path) -> None:
    result = environment("sagemaker-v3").run("v3_script.py", str(flights))
    assert result["status"] == "Completed"
    assert result["model_bytes"] > 1000
    assert "train-r2" in result["printed"]


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_processing(environment: Environments, flights: Path, tmp_path: Path, version: str) -> None:
    result = environment(f"sagemaker-{version}").run(f"{version}_processing.py", str(flights), str(tmp_path))
    assert (result["status"], result["message"]) == ("Completed", f"{4 * ROWS} flights")
    assert result["rows"] == {"first": 3 * ROWS, "second": ROWS}
    assert result["count"] == "3"
    assert f"second {ROWS}" in result["printed"], "the job's log belongs on the user's screen"


def test_v2_batch_transform(environment: Environments, flights: Path, tmp_path: Path) -> None:
    result = environment("sagemaker-v2").run("v2_transform.py", str(flights), str(tmp_path), timeout=900)
    assert (result["joined"], result["documents"], result["piped"], result["ids"]) == (ROWS, ROWS, ROWS, 20)
    assert "transformed 1 of 1 objects" in result["printed"], "the job's log belongs on the user's screen"


def test_v3_batch_transform(environment: Environments, flights: Path, tmp_path: Path) -> None:
    result = environment("sagemaker-v3").run("v3_transform.py", str(flights), str(tmp_path), timeout=900)
    assert (result["status"], result["joined"], result["documents"]) == ("Completed", ROWS, ROWS)


def test_v2_updates_an_endpoint(environment: Environments, flights: Path) -> None:
    result = environment("sagemaker-v2").run("v2_update.py", str(flights), timeout=600)
    errors = result["errors"]
    assert errors["good"] < errors["poor"] / 2
    assert errors["poor again"] == errors["poor"]
    assert (result["status"], result["config"]) == ("InService", True)
    assert {"Creating", "Baking"} <= set(result["stages"])
    assert result["mixed"] == 2, "during the canary both models answer"


def test_v2_captures_what_an_endpoint_is_sent_and_answers(environment: Environments, flights: Path) -> None:
    result = environment("sagemaker-v2").run("v2_capture.py", str(flights))
    assert result["captured"] == 20
    assert all(name.startswith(f"{result['place']}/AllTraffic/") for name in result["files"])
    assert result["status"] == "Stopped", "the SDK has switched it off again"


def test_v2_asynchronous_endpoint(environment: Environments, flights: Path) -> None:
    result = environment("sagemaker-v2").run("v2_async.py", str(flights))
    assert result["rows"] == 500
    assert result["error"] < 0.25 * result["baseline"]
    assert result["failure"], "the model's own words belong to the user"
    assert result["told"] == ["Completed", "Completed", "Failed"]
    assert result["outputs"] == result["expected"]


def test_v3_asynchronous_endpoint(environment: Environments, flights: Path) -> None:
    result = environment("sagemaker-v3").run("v3_async.py", str(flights))
    assert result["rows"] == 500
    assert result["error"] < 0.25 * result["baseline"]
    assert result["place"].startswith("v3-async/answers/")


def test_v2_multi_model(environment: Environments, flights: Path) -> None:
    result = environment("sagemaker-v2").run("v2_multi_model.py", str(flights), timeout=600)
    errors = result["errors"]
    assert errors["short by short"] < 0.5 * errors["short by long"]
    assert errors["long by long"] < 0.5 * errors["long by short"]
    assert errors["long by second"] == errors["long by long"]
    assert result["before"] == ["long/first.tar.gz", "short.tar.gz"]
    assert result["after"] == ["long/first.tar.gz", "long/second.tar.gz", "short.tar.gz"]
    assert result["refused"] == "ValidationError"


def test_v2_registers_approves_and_deploys_by_arn(environment: Environments, flights: Path) -> None:
    result = environment("sagemaker-v2").run("v2_registry.py", str(flights), timeout=600)
    assert result["arns"] == ["1", "2"]
    assert (result["pending"], result["approved"]) == ("PendingManualApproval", 2)
    assert result["transformed"], "the endpoint and the transform job answer alike"
    assert (result["versions"], result["risk"], result["exported"]) == ([2, 1], "Medium", "%PDF-")
    assert result["discovered"], "the card finds the training job behind the package"
    assert result["error"] < 0.25 * result["baseline"]


def test_v3_registers_approves_and_deploys_by_arn(environment: Environments, flights: Path) -> None:
    result = environment("sagemaker-v3").run("v3_registry.py", str(flights), timeout=600)
    assert (result["version"], result["pending"], result["approved"]) == (1, "PendingManualApproval", "Approved")
    assert result["groups"] == 1
    assert result["error"] < 0.25 * result["baseline"]
