"""The feature stores of both SageMaker SDKs, unmodified: groups of frames, lookups, queries of what was known when."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.clients.environments import Environment

pytestmark = pytest.mark.client
Environments = Callable[[str], Environment]

EXAMPLE = Path(__file__).parents[2] / "examples" / "features.py"
ADDED = ["write_time", "api_invocation_time", "is_deleted"]
# What purchases.py says of each customer's last purchase; c3 was deleted since, and c4 never had a level.
AT_THE_TIME = {"c1": [7.25, "silver"], "c2": [1.0, "bronze"]}


def test_v2_feature_groups(environment: Environments) -> None:
    result = environment("sagemaker-v2").run("v2_features.py")
    check_common(result)
    assert result["types"] == ["String", "Fractional", "String", "Integral", "Integral"]
    assert (result["deleted"], result["batch"]) == (None, 2)
    assert result["rows"] == [5, 6, 7]
    assert result["statement"]
    assert result["before"] == 0, "nothing had been written by then"
    assert result["framed"] == [["c1", 5.5, "bronze"], ["c1", 7.25, "bronze"], ["c1", 7.25, "silver"],
                                ["c2", 1.0, "bronze"]]  # fmt: skip
    assert result["points"] == [7]
    assert result["described"] == ["how good a customer", [{"Key": "team", "Value": "sales"}]]
    assert result["found"] == result["listed"] == result["names"]


def test_v3_feature_groups(environment: Environments) -> None:
    result = environment("sagemaker-v3").run("v3_features.py")
    check_common(result)
    assert (result["types"], result["format"]) == (["String", "String", "String", "Integral"], "Iceberg")
    assert result["identifiers"] == ["c1", "c2", "c3", "c4"]
    assert result["rows"] == [5, 6, 5, 6]
    assert result["ranks"] == [["c1", 1], ["c2", 1]]
    assert result["listed"]


def check_common(result: dict[str, Any]) -> None:
    assert result["latest"] == ["gold", "3"]
    assert result["columns"] == ["customer", "since", "level", "rank", *ADDED, "year", "month", "day", "hour"]
    assert result["marks"] == [False] * 5 + [True]
    assert result["joined"] == AT_THE_TIME


@pytest.mark.slow
def test_the_example_finds_no_skew(environment: Environments) -> None:
    program = environment("boto3")
    printed = program.command([str(program.folder / "bin" / "python"), str(EXAMPLE)])
    assert "differ between the stores      0 of" in printed
    error, baseline = (float(line.split("minutes")[0].split()[-1]) for line in printed.splitlines()[-2:])
    assert error < baseline
