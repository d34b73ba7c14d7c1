"""Pipelines as users of both SageMaker SDKs write them, unmodified, on real data."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.clients.environments import Environment

pytestmark = pytest.mark.client
Environments = Callable[[str], Environment]

CACHEABLE = ["EvaluateFlights", "PrepareFlights", "TrainFlights"]


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_the_canonical_pipeline_runs_again_and_again(environment: Environments, flights: Path, version: str) -> None:
    result = environment(f"sagemaker-{version}").run(f"{version}_pipeline.py", str(flights), timeout=1800)

    first = result["first"]
    assert (first["status"], first["hits"], first["versions"]) == ("Succeeded", [], 1)
    assert {*CACHEABLE, "GoodEnough", "ScoreFlights"} < set(first["steps"])

    assert result["unchanged"] == {"status": "Succeeded", "hits": CACHEABLE}

    bad = result["bad model"]
    assert (bad["status"], bad["outcome"], bad["registered"]) == ("Failed", "False", 0)
    assert bad["hits"] == ["PrepareFlights"], "with another depth the model is trained and judged anew"
    assert bad["reason"] == "Execution failed due to MSE > 0.5"

    assert result["new data"] == {
        "first": "Failed",
        "failed": ["EvaluateFlights"],
        "hits": [],
        "status": "Succeeded",
        "run again": ["EvaluateFlights"],
    }

    assert result["deployment"]["status"] == "Succeeded"
    assert result["deployment"]["error"] < 20, "minutes"


def test_v2_functions_and_notebooks_are_steps(environment: Environments, tmp_path: Path) -> None:
    result = environment("sagemaker-v2").run("v2_functions.py", str(tmp_path), timeout=1800)
    assert result["remote"] == "prepared: 3.5 minutes"
    assert result["raised"] == "nothing to add up", "an exception of the function is raised where it was called"
    assert (result["status"], result["sum"]) == ("Succeeded", 110)
    assert result["greeted"]
    assert {"greet.ipynb", "sagemaker_job_execution.log"} < set(result["files"])


def test_v2_steps_ask_choose_fail_and_are_selected(environment: Environments) -> None:
    weigh = Path(__file__).parent / "programs" / "scripts" / "weigh.py"
    result = environment("sagemaker-v2").run("v2_steps.py", str(weigh), timeout=900)
    assert result["asked"] == {"doubled": 6}
    assert result["first"] == {"status": "Succeeded", "told": "yes at 6"}
    assert result["refused"] == {
        "status": "Failed",
        "reason": "no flight from LGA",
        "steps": ["Ask", "Choose", "Refuse", "Weigh"],
    }
    assert result["selected"] == {"status": "Succeeded", "told": "yes at 6", "reused": ["Ask", "Choose", "Weigh"]}
    assert "Unknown parameter 'Airport' (step 'Lost', at Steps[0]" in result["messages"][0]
    assert "Nowhere" in result["messages"][1]
