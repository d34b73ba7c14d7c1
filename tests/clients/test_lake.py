"""The example of a lake: crawled, queried, joined, made into Parquet, exported."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.clients.environments import Environment

pytestmark = pytest.mark.client

EXAMPLE = Path(__file__).parents[2] / "examples" / "lake.py"


def test_the_example_answers_the_same_from_fewer_bytes(environment: Callable[[str], Environment]) -> None:
    program = environment("boto3")
    printed = program.command([str(program.folder / "bin" / "python"), str(EXAMPLE)])
    assert "flights (csv): air_minutes bigint, day bigint, scheduled_departure_minute bigint" in printed
    assert "parted by month string" in printed
    of_csv, of_parquet = (
        int(line.partition(" bytes read")[0].split()[-1].replace(",", ""))
        for line in printed.splitlines()
        if "bytes read" in line
    )
    assert of_parquet < of_csv / 2
    assert printed.splitlines()[-1].strip().startswith("s3://lake-")
