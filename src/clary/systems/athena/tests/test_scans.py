"""Which files a query reads of a table: partitions of the catalog, projected ones, and pruning of both."""

import io

import pytest

from clary.lake.tables import table_of
from clary.systems.athena.contract import Domain, ScanUse, StatementFailed, TableName
from clary.systems.athena.tests.lake_running import ServerRunning

duckdb = pytest.importorskip("duckdb")
pa = pytest.importorskip("pyarrow")

PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
CSV = {
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
        "Parameters": {"field.delim": ","},
    }
}
NOON = 1_717_243_200.0  # 2024-06-01T12:00:00Z


def rows_of(scan, order="1"):
    from clary.lake.formats.parts import BytesRead
    from clary.lake.formats.reading import over

    connection, read = duckdb.connect(), BytesRead()
    query = over(connection, f'SELECT * FROM "{scan.name}" ORDER BY {order}', [scan], read)
    return connection.execute(query).fetchall(), read


def parquet(**columns):
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


@pytest.fixture
def lake(server, unique):
    """Makes a bucket and a database, and tables in it."""
    s3, glue = server.client("s3"), server.client("glue")
    bucket, database = unique("lake"), unique("db").replace("-", "_").lower()
    s3.create_bucket(Bucket=bucket)
    glue.create_database(DatabaseInput={"Name": database})

    class Lake:
        def put(self, key, body):
            s3.put_object(Bucket=bucket, Key=key, Body=body)

        def table(self, name, columns, keys=(), descriptor=PARQUET, location="", **properties):
            where = f"s3://{bucket}/{location or name}"
            glue.create_table(
                DatabaseName=database,
                TableInput={
                    "Name": name,
                    "Parameters": {
                        key.replace("__", "."): value.replace("BUCKET", bucket) for key, value in properties.items()
                    },
                    "PartitionKeys": [{"Name": key, "Type": kind} for key, kind in keys],
                    "StorageDescriptor": {
                        "Columns": [{"Name": key, "Type": kind} for key, kind in columns],
                        "Location": where,
                        **descriptor,
                    },
                },
            )  # fmt: skip

        def partition(self, table, values, location, descriptor=PARQUET, columns=(("n", "int"),)):
            made = [{"Name": key, "Type": kind} for key, kind in columns]
            where = f"s3://{bucket}/{location}"
            glue.create_partition(
                DatabaseName=database, TableName=table,
                PartitionInput={
                    "Values": values, "StorageDescriptor": {"Columns": made, "Location": where, **descriptor},
                },
            )  # fmt: skip

        def scan(self, running, name, used, part="", **domains):
            from clary.systems.athena.planning.scans import scan_of

            table = table_of(glue.get_table(DatabaseName=database, Name=name)["Table"])
            named = TableName("awsdatacatalog", database, name)
            return scan_of(
                running,
                ScanUse(
                    "scan_0", named, used, {key.replace("__", "$"): each for key, each in domains.items()}, part=part
                ),
                table,
            )

        uri = staticmethod(lambda key: f"s3://{bucket}/{key}")

    return Lake()


def test_partitions_of_the_catalog(server, tmp_path, lake):
    lake.table("t", [("n", "bigint"), ("s", "string")], [("year", "int"), ("city", "string")])
    for place, (year, city) in enumerate(
        [("2023", "Köln/Süd"), ("2024", "a=b"), ("2024", "__HIVE_DEFAULT_PARTITION__")]
    ):
        lake.put(f"t/{place}/deep/er/part-0", parquet(N=[place], s=[city]))
        lake.partition("t", [year, city], f"t/{place}")
    lake.put("t/0/deep/_hidden/part-0", b"no table")
    lake.put("t/0/.hidden", b"no table")
    lake.put("t/0/empty", b"")
    lake.put("t/00/part-0", parquet(N=[7], s=["of no partition"]))
    lake.put("elsewhere/csv", b"3,c\n")
    lake.partition("t", ["2025", "x"], "elsewhere/", CSV, (("n", "bigint"), ("s", "string")))
    lake.partition("t", ["2026", "no files"], "nowhere/")

    running = ServerRunning(server, tmp_path / "all")
    scan = lake.scan(running, "t", ("n", "s", "year", "city", "$path", "$partition"))
    rows, _ = rows_of(scan)
    assert [row[:4] for row in rows] == [
        (0, "Köln/Süd", 2023, "Köln/Süd"), (1, "a=b", 2024, "a=b"),
        (2, "__HIVE_DEFAULT_PARTITION__", 2024, None), (3, "c", 2025, "x"),
    ]  # fmt: skip
    assert [row[4] for row in rows] == [lake.uri(f"t/{n}/deep/er/part-0") for n in range(3)] + [
        lake.uri("elsewhere/csv")
    ]
    assert rows[1][5] == "year=2024/city=a=b"

    running = ServerRunning(server, tmp_path / "some")
    scan = lake.scan(
        running,
        "t",
        ("n",),
        year=Domain(low="2024", high="2025", high_included=False),
        city=Domain(values=("a=b", "it's")),
    )
    assert [row[0] for row in rows_of(scan)[0]] == [1]
    asked = [params["Expression"] for name, params in running.calls if name == "GetPartitions"]
    assert asked == ["`year` >= 2024 AND `year` < 2025 AND `city` IN ('a=b', 'it''s')"]
    assert [each for name, each in running.calls if name == "List"] == [lake.uri("t/1/")]

    parts = lake.scan(running, "t", ("year", "city"), "partitions", year=Domain(low="2024"))
    assert rows_of(parts, "1, 2")[0] == [(2024, "a=b"), (2024, None), (2025, "x"), (2026, "no files")]

    only = lake.scan(
        ServerRunning(server, tmp_path / "one"), "t", ("n",), __path=Domain(values=(lake.uri("elsewhere/csv"),))
    )
    assert [file.uri for file in only.files] == [lake.uri("elsewhere/csv")]


def test_what_is_wrong_with_partitions(server, tmp_path, lake):
    lake.table("t", [("n", "int")], [("year", "int")])
    lake.partition("t", ["last"], "t/last")
    with pytest.raises(StatementFailed, match=r"HIVE_INVALID_PARTITION_VALUE.*'last' for INT partition key: year"):
        lake.scan(ServerRunning(server, tmp_path), "t", ("n",))
    lake.table("u", [("n", "int")], [("year", "int")])
    lake.partition("u", ["1"], "u/1", PARQUET, (("n", "array<int>"),))
    with pytest.raises(
        StatementFailed, match=r"HIVE_PARTITION_SCHEMA_MISMATCH.*column 'n'.*'int'.*'year=1'.*'array<int>'"
    ):
        lake.scan(ServerRunning(server, tmp_path), "u", ("n",))


def test_projection(server, tmp_path, lake):
    for day in ("2024/05/30", "2024/05/31", "2024/06/01", "2024/06/02", "2020/01/01", "x/y/z"):
        for shard in ("07", "08", "7", "12"):
            lake.put(f"logs/{day}/eu/{shard}/x.csv", f"{day} {shard}\n".encode())
    lake.table(
        "logs", [("line", "string")], [("day", "string"), ("region", "string"), ("shard", "int")], CSV,
        projection__enabled="true", projection__day__type="date", projection__day__range="2024/05/31,NOW",
        projection__day__format="yyyy/MM/dd", projection__region__type="enum", projection__region__values="us,eu",
        projection__shard__type="integer", projection__shard__range="1,10", projection__shard__digits="2",
        storage__location__template="s3://BUCKET/logs/${day}/${region}/${shard}",
    )  # fmt: skip
    running = ServerRunning(server, tmp_path / "all", NOON)
    scan = lake.scan(running, "logs", ("line", "day", "region", "shard"))
    rows, read = rows_of(scan, "1, 4")
    assert rows == [
        (f"{day} {shard}", day, "eu", int(shard)) for day in ("2024/05/31", "2024/06/01") for shard in ("07", "08")
    ]
    assert read.total == sum(file.size_bytes for file in scan.files)
    one = lake.scan(
        ServerRunning(server, tmp_path / "one", NOON), "logs", ("line",),
        day=Domain(low="2024/06/01"), shard=Domain(values=("8",)), region=Domain(values=("eu",)),
    )  # fmt: skip
    assert [file.uri for file in one.files] == [lake.uri("logs/2024/06/01/eu/08/x.csv")]
    wide = ServerRunning(server, tmp_path / "wide", NOON + 300 * 86_400)
    scan = lake.scan(wide, "logs", ("line",), shard=Domain(low="8"))
    assert [each for name, each in wide.calls if name == "List"] == [lake.uri("logs/")]
    assert [file.uri for file in scan.files] == [
        lake.uri(f"logs/2024/{day}/eu/08/x.csv") for day in ("05/31", "06/01", "06/02")
    ]


def test_injected_keys_need_values(server, tmp_path, lake):
    lake.put("i/device=d-1/x.csv", b"1\n")
    lake.table(
        "i",
        [("n", "int")],
        [("device", "string")],
        CSV,
        projection__enabled="true",
        projection__device__type="injected",
    )
    running = ServerRunning(server, tmp_path)
    with pytest.raises(
        StatementFailed, match=r"CONSTRAINT_VIOLATION: For the injected projected partition column device"
    ):
        lake.scan(running, "i", ("n",))
    scan = lake.scan(running, "i", ("n", "device"), device=Domain(values=("d-1", "d-2")))
    assert rows_of(scan)[0] == [(1, "d-1")]
    lake.table(
        "j", [("n", "int")], [("device", "string")], CSV, projection__enabled="true", projection__device__type="guess"
    )
    with pytest.raises(
        StatementFailed, match=r"projection.device.type must be enum, integer, date or injected, and is guess"
    ):
        lake.scan(running, "j", ("n",))


def test_a_schema_of_avro_that_lies_in_s3(server, tmp_path, lake):
    import json

    import fastavro

    schema = {"type": "record", "name": "r", "fields": [{"name": "n", "type": "int"}]}
    sink = io.BytesIO()
    fastavro.writer(sink, schema, [{"n": 7}])
    lake.put("a/rows.avro", sink.getvalue())
    schema["fields"].append({"name": "more", "type": "string", "default": "as said"})
    lake.put("schemas/a.avsc", json.dumps(schema).encode())
    avro = {
        "SerdeInfo": {
            "SerializationLibrary": "org.apache.hadoop.hive.serde2.avro.AvroSerDe",
            "Parameters": {"avro.schema.url": lake.uri("schemas/a.avsc")},
        }
    }
    lake.table("a", [("n", "int"), ("more", "string")], (), avro)
    assert rows_of(lake.scan(ServerRunning(server, tmp_path), "a", ("n", "more")))[0] == [(7, "as said")]
