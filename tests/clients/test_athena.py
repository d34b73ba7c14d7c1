"""Clients of Athena, unmodified: awswrangler, PyAthena with SQLAlchemy, and dbt."""

from collections.abc import Callable

import pytest
from tests.clients.environments import Environment

pytestmark = pytest.mark.client


def test_awswrangler(environment: Callable[[str], Environment], unique: Callable[[str], str]) -> None:
    result = environment("awswrangler").run("wrangler_athena.py", unique("wrangled"))
    # Nothing differs from the frame that was written, but that an empty text of a CSV is nothing to awswrangler.
    assert result["different"] == {
        **{way: [{}, {}, {}] for way in ("ctas", "unload", "table", "chunks")},
        "csv": [{"string": [None, ""]}, {}, {}],
    }
    assert result["types"]["iint8"] == "Int8"
    assert result["types"]["par0"] == "Int64"
    assert (result["parameters"], result["prepared"], result["again"]) == (1, [1], 3)
    assert (result["made"], result["picked"]) == ("picked", "iint64,par1\n1,a\n,b\n")
    assert (result["repaired"], result["hand"]) == ("SUCCEEDED", "s,p\n3,x\n")
    assert result["described"] == "Column Name,Type,Partition,Comment\na,int,False,\np,string,True,\n"
    assert "PARTITIONED BY ( `p` string)" in result["shown"]
    assert result["columns"]["decimal"] == "decimal(3,2)"
    assert result["iceberg"].splitlines() == [
        "id,name,ts",
        "2,b,2024-02-29 12:34:56.789",
        "3,c,2024-02-29 13:34:56.789",
        "4,d,2024-02-29 13:34:56.789",
    ]


def test_pyathena(environment: Callable[[str], Environment], unique: Callable[[str], str]) -> None:
    result = environment("pyathena").run("pyathena_cursors.py", unique("pyathena"))
    assert result["row"][:8] == [
        "1",
        "1.50",
        "x'y",
        "True",
        "None",
        "2024-02-29",
        "2024-02-29 01:02:03.456000",
        "[1, 2]",
    ]
    assert result["row"][10:] == ["b'\\x00\\xff'", "0.1", "{'a': [1]}"]
    assert [type_ for _, type_ in result["description"]] == [
        *("integer", "decimal", "varchar", "boolean", "unknown", "date", "timestamp"),
        *("array", "map", "row", "varbinary", "double", "json"),
    ]
    assert (result["all"], result["pages"], result["qmark"]) == ([[2, "b"], [3, None]], 2500 * 2501 // 2, [3])
    assert result["error"] == "COLUMN_NOT_FOUND: line 1:8: Column 'nope' cannot be resolved"
    assert result["dicts"] == [{"carrier": "AA", "n": 1, "s": 2.5}, {"carrier": "UA", "n": 2, "s": 1.5}]
    assert result["pandas"]["data"] == [["UA", 1.5, 1], ["AA", 2.5, 1], ["UA", None, 2]]
    assert (result["unloaded"], result["async"]) == (3, [0, 1, 4, 9])
    assert result["has"] == [True, False]
    assert result["tables"] == result["left"] == ["flights"]
    assert result["reflected"] == {"carrier": "VARCHAR", "delay": "DOUBLE", "month": "BIGINT"}
    assert (result["alchemy"], result["inserted"]) == ([["AA", 2.5], ["UA", 1.5]], [[1, "one"]])


def test_dbt(environment: Callable[[str], Environment], unique: Callable[[str], str]) -> None:
    result = environment("dbt").run("models_of_dbt.py", unique("dbt"))
    models = {"named", "by_year", "runs", "log", "latest"}
    assert result["seed"] == {"carriers": "success"}
    assert result["first"] == result["second"] == dict.fromkeys(models, "success")
    assert len(result["test"]) == 4
    assert set(result["test"].values()) == {"pass"}
    assert result["by_year"] == [["AA", "AMERICAN", "1926"], ["DL", "DELTA", "1925"], ["UA", "UNITED", "1926"]]
    assert result["runs"] == [["AA", "2"], ["DL", "1"], ["UA", "2"]]
    assert result["log"] == [["1", "3"], ["2", "3"]]
    assert result["latest"] == [["AA", "1"], ["DL", "1"], ["NK", "2"], ["UA", "2"]]
    assert set(result["documented"]) >= models
