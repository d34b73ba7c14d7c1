"""Data tools on S3, unmodified."""

from collections.abc import Callable

import pytest
from tests.clients.environments import Environment

pytestmark = pytest.mark.client


def test_arrow_transfer_manager_and_duckdb(
    environment: Callable[[str], Environment], unique: Callable[[str], str]
) -> None:
    result = environment("s3-tools").run("s3_tools.py", unique("tools"))
    total = 100_000 * 99_999 // 2
    assert (result["arrow_rows"], result["arrow_sum"], result["arrow_files"]) == (100_000, total, 5)
    assert result["transfer_same"]
    assert result["transfer_etag_parts"] == "25"
    assert result["duckdb"] == [100_000, total] or result["duckdb"].startswith("no httpfs")


def test_s3fs(environment: Callable[[str], Environment], unique: Callable[[str], str]) -> None:
    assert environment("s3fs").run("s3fs_files.py", unique("s3fs")) == {
        "printed": "",
        "found": ["a/b.txt", "c.txt", "large.bin"],
        "read": "hello",
        "range": "el",
        "large": True,
        "size": 60 * 2**20,
        "left": ["c.txt", "large.bin"],
    }


def test_awswrangler(environment: Callable[[str], Environment], unique: Callable[[str], str]) -> None:
    result = environment("awswrangler").run("wrangler.py", unique("wrangler"))
    assert result == {
        "printed": "",
        "rows": 3,
        "sum": 6,
        "csv_rows": 3,
        "exists": True,
        "files": 2,
        "account": "000000000000",
        "left": 0,
        "catalog": {
            "types": {"value": "bigint", "weight": "double", "day": "string"},
            "partitions": [["a"], ["b"], ["c"]],
            "filtered": [["b"], ["c"]],
            "tables": ["days"],
            "rows": 9,
            "versions": 1,  # it asks for no archive unless told to
            "deleted": True,
            "exists": False,
        },
    }
