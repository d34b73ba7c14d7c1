"""Partition projection by AWS's rules, on objects that are but a list: which values, and which places are looked at."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from clary.lake.tables import CSV, Column, Table
from clary.lake.types import parse_type
from clary.systems.athena.contract import Domain, ListedObject, StatementFailed
from clary.systems.athena.planning import projection
from clary.systems.athena.planning.dates import Pattern, add, moment

NOW = datetime(2024, 3, 31, 12, 30, tzinfo=UTC)


class Objects:
    """A `Running` that lists; all else of it is not needed here."""

    folder = Path("/nowhere")
    ctx = SimpleNamespace()

    def __init__(self, uris):
        self._uris = sorted(uris)
        self.listed = []

    def objects(self, prefix):
        self.listed.append(prefix)
        return [ListedObject(uri, 1, "", 0.0) for uri in self._uris if uri.startswith(prefix)]

    def check(self):
        """It is never stopped."""


def table_of(keys, **properties):
    given = {"projection.enabled": "true", **{key.replace("__", "."): value for key, value in properties.items()}}
    made = tuple(Column(name, parse_type(kind)) for name, kind in keys.items())
    return Table("d", "t", (Column("n", parse_type("int")),), made, "s3://b/t", CSV, properties=given)


def found(table, uris, **domains):
    return sorted(values for values, _ in projection.projected(Objects(uris), table, domains, NOW.timestamp()))


def everything(table, **domains):
    """The places that are looked at one by one."""
    running = Objects([])
    projection.projected(running, table, domains, NOW.timestamp())
    return running.listed


def test_integers():
    table = table_of(
        {"k": "int"}, projection__k__type="integer", projection__k__range="-1,8", projection__k__interval="3"
    )
    assert everything(table) == [f"s3://b/t/k={k}/" for k in (-1, 2, 5, 8)]
    assert everything(table, k=Domain(low="2", low_included=False)) == ["s3://b/t/k=5/", "s3://b/t/k=8/"]
    assert everything(table, k=Domain(values=("5", "6"))) == ["s3://b/t/k=5/"]
    table.properties["projection.k.digits"] = "3"
    assert everything(table)[1:3] == ["s3://b/t/k=002/", "s3://b/t/k=005/"]


@pytest.mark.parametrize(
    ("range_", "format_", "more", "places"),
    [
        ("2024-03-30,NOW", "yyyy-MM-dd", {}, ["2024-03-30", "2024-03-31"]),
        ("NOW-2MONTHS,NOW", "yyyy/MM", {}, ["2024/01", "2024/02", "2024/03"]),
        ("NOW-3HOURS,NOW", "yyyyMMddHH", {"interval": "2", "interval.unit": "HOURS"}, ["2024033109", "2024033111"]),
        ("2020,NOW", "yyyy", {"interval": "2", "interval.unit": "YEARS"}, ["2020", "2022", "2024"]),
        ("NOW-1DAY,NOW+1DAYS", "'d'=dd-MMM", {}, ["d=30-Mar", "d=31-Mar", "d=01-Apr"]),
        ("2024-03-01,2024-03-20", "yyyy-MM-dd", {"interval": "1", "interval.unit": "WEEKS"},
         ["2024-03-01", "2024-03-08", "2024-03-15"]),
    ],
)  # fmt: skip
def test_dates(range_, format_, more, places):
    table = table_of({"k": "string"}, storage__location__template="s3://b/${k}/", projection__k__type="date")
    given = {"format": format_, "range": range_, **more}
    table.properties.update({f"projection.k.{name}": value for name, value in given.items()})
    assert everything(table) == [f"s3://b/{place}/" for place in places]


def test_dates_that_a_query_leaves():
    table = table_of({"k": "date"}, projection__k__type="date", projection__k__range="2000-01-01,NOW")
    assert everything(table, k=Domain(low="2024-03-30")) == ["s3://b/t/k=2024-03-30/", "s3://b/t/k=2024-03-31/"]
    assert everything(table, k=Domain(values=("1999-12-31", "2000-01-01"))) == ["s3://b/t/k=2000-01-01/"]
    whole = [f"s3://b/t/k=20{y:02d}-01-01/f" for y in range(30)]
    assert found(table, [*whole, "s3://b/t/k=x/f", "s3://b/t/k=2024-1-1/f"]) == [
        (f"20{y:02d}-01-01",) for y in range(25)
    ]


def test_a_listing_by_the_template_finds_what_one_by_one_does(monkeypatch):
    table = table_of(
        {"day": "string", "shard": "int", "kind": "string"}, storage__location__template="s3://b/x/${kind}-${shard}/${day}/y",
        projection__day__type="date", projection__day__range="NOW-9DAYS,NOW", projection__day__format="yyyy/MM/dd",
        projection__shard__type="integer", projection__shard__range="0,4", projection__kind__type="enum",
        projection__kind__values="a,a/b,c.d",
    )  # fmt: skip
    uris = [
        f"s3://b/x/{kind}-{shard}/2024/03/{day}/y/{file}"
        for kind in ("a", "a/b", "cxd", "c.d") for shard in range(3, 7) for day in (20, 25, 31)
        for file in ("f", "_f", "d/f")
    ]  # fmt: skip
    many = found(table, uris, shard=Domain(low="4"))
    monkeypatch.setattr(projection, "_MOST_LISTINGS", 0)
    assert found(table, uris, shard=Domain(low="4")) == many
    assert many == [(f"2024/03/{day}", "4", kind) for day in (25, 31) for kind in ("a", "a/b", "c.d")]


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"type": "integer", "range": "1"}, "projection.k.range must be two values"),
        ({"type": "integer", "range": "1,x"}, "projection.k.range must be whole numbers, and has 'x'"),
        ({"type": "integer", "range": "1,2", "interval": "0"}, "projection.k.interval must be a positive whole number"),
        ({"type": "date", "range": "NOW,LATER"}, "projection.k.range or its format is wrong"),
        ({"type": "date", "range": "NOW,NOW", "format": "QQ"}, "QQ is no part of a date"),
        ({"type": "date", "range": "NOW,NOW", "format": "yyyy-MM-dd HH"}, "projection.k.interval.unit must be one of"),
        ({"type": "enum"}, "projection.k.values must be a list"),
        ({}, "must be enum, integer, date or injected, and is missing"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(properties, message):
    table = table_of({"k": "string"})
    table.properties.update({f"projection.k.{name}": value for name, value in properties.items()})
    with pytest.raises(StatementFailed, match="INVALID_TABLE_PROPERTY") as failed:
        everything(table)
    assert message in str(failed.value)
    table.properties.update(
        {"projection.k.type": "enum", "projection.k.values": "a", "storage.location.template": "s3://b/${j}"}
    )
    with pytest.raises(StatementFailed, match="must name the partition columns k, and names j"):
        everything(table)


def test_patterns_and_moments():
    pattern = Pattern("yyyy-MM-dd'T'HH:mm:ss.SSS")
    assert pattern.is_ordered
    assert pattern.write(pattern.read("2024-02-29T01:02:03.040")) == "2024-02-29T01:02:03.040"
    assert not Pattern("dd-MM-yyyy").is_ordered
    assert add(NOW, -1, "MONTHS").day == 29
    assert moment(" now - 2 weeks ", pattern, NOW) == add(NOW, -14, "DAYS")
