"""Iceberg tables through a real server's Athena: written, changed and read by statements, and by pyiceberg between."""

from typing import Any

import pytest

pa = pytest.importorskip("pyarrow")
glue = pytest.importorskip("pyiceberg.catalog.glue")

from pyiceberg.types import LongType  # noqa: E402

from clary.systems.athena.tests.conftest import Client  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def catalog_of(client: Client) -> Any:
    server = client.server
    where = {"client.access-key-id": server.access_key, "client.secret-access-key": server.secret}
    place = {"client.region": "us-east-1", "glue.endpoint": server.endpoint, "s3.endpoint": server.endpoint}
    return glue.GlueCatalog("clary", **where, **place)


def test_a_table_is_written_by_athena_and_by_pyiceberg(client: Client) -> None:
    database = client.unique("ice").replace("-", "_").lower()
    client.run(f"CREATE DATABASE {database}")
    session: dict[str, Any] = {"QueryExecutionContext": {"Database": database}}

    def update_count(text: str) -> int:
        name = client.run(text, **session)["QueryExecutionId"]
        return int(client.athena.get_query_results(QueryExecutionId=name)["UpdateCount"])

    def rows(text: str) -> list[list[str | None]]:
        return client.rows(text, **session)[1:]

    client.run(
        "CREATE TABLE stock (item string, count bigint, at timestamp) PARTITIONED BY (bucket(4, item)) "
        f"LOCATION 's3://{client.bucket}/stock/' TBLPROPERTIES ('table_type'='ICEBERG', 'format'='parquet')",
        **session,
    )
    stock = catalog_of(client).load_table((database, "stock"))
    assert [str(field.transform) for field in stock.spec().fields] == ["bucket[4]"]
    assert (
        update_count("INSERT INTO stock VALUES ('a', 1, TIMESTAMP '2024-01-02 03:04:05.678901'), ('b', 2, NULL)") == 2
    )
    stock.refresh().append(pa.table({"item": ["c"], "count": pa.array([3], pa.int64())}))
    assert rows("SELECT item, count, at FROM stock ORDER BY item") == [
        ["a", "1", "2024-01-02 03:04:05.678901"], ["b", "2", None], ["c", "3", None],
    ]  # fmt: skip
    assert update_count("UPDATE stock SET count = count * 10 WHERE item <> 'a'") == 2
    merge = (
        "MERGE INTO stock t USING (VALUES ('a', 0), ('d', 4)) s(item, count) ON t.item = s.item "
        "WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (item, count) VALUES (s.item, s.count)"
    )
    assert update_count(merge) == 2
    with stock.refresh().update_schema() as change:
        change.rename_column("count", "amount")
        change.add_column("extra", LongType())
    assert rows("SELECT item, amount, extra FROM stock ORDER BY 1") == [
        ["b", "20", None], ["c", "30", None], ["d", "4", None],
    ]  # fmt: skip
    read = stock.refresh().scan().to_arrow().to_pylist()
    assert sorted((row["item"], row["amount"]) for row in read) == [("b", 20), ("c", 30), ("d", 4)]
    stock.refresh().delete("item = 'b'")
    assert update_count("DELETE FROM stock WHERE amount = 4") == 1
    client.run("ALTER TABLE stock ADD COLUMNS (note string)", **session)
    assert rows('SELECT operation FROM "stock$snapshots" ORDER BY committed_at DESC LIMIT 1') == [["delete"]]
    made = client.run(
        f"CREATE TABLE copied WITH (table_type='ICEBERG', is_external=false, location='s3://{client.bucket}/copied/', "
        "partitioning=ARRAY['item']) AS SELECT item, amount, current_timestamp AS made FROM stock",
        **session,
    )
    assert made["Status"]["State"] == "SUCCEEDED"
    assert catalog_of(client).load_table((database, "copied")).scan().to_arrow().num_rows == 1
    for _ in range(5):
        client.run("INSERT INTO stock SELECT * FROM stock WHERE item = 'c' LIMIT 1", **session)
    client.run("OPTIMIZE stock REWRITE DATA USING BIN_PACK", **session)
    client.run("VACUUM stock", **session)
    assert rows('SELECT count(*) FROM "stock$files"') == [["1"]]
    assert rows("SELECT item, count(*) FROM stock GROUP BY 1") == [["c", "6"]]
    location = stock.refresh().metadata.location
    client.run("DROP TABLE stock", **session)
    left = client.s3.list_objects_v2(Bucket=client.bucket, Prefix=location.split("/", 3)[3])
    assert left["KeyCount"] == 0
