"""Tables of every format from CTAS to SELECT, as a client has them, with their keys, buckets and partitions."""

import gzip
import json

import pytest

pytest.importorskip("duckdb")

VALUES = """n, s, TIMESTAMP '2024-01-01 01:02:03.456' AS ts, ARRAY[n, NULL] AS l, MAP(ARRAY['a'], ARRAY[n]) AS m,
    CAST(ROW(n, s) AS ROW(a int, b varchar)) AS r, DECIMAL '1.50' AS d, n * 2 AS p"""
ROW = ["2", "y", "2024-01-01 01:02:03.456", "[2, null]", "{a=2}", "{a=2, b=y}", "1.50", "4"]


def test_tables_of_every_format(client, unique):
    database = unique("db").replace("-", "_").lower()
    client.server.client("glue").create_database(DatabaseInput={"Name": database})
    within = {"QueryExecutionContext": {"Database": database}}
    body = gzip.compress(b"n,s\n1,x\n2,y\n")
    client.s3.put_object(Bucket=client.bucket, Key="csv/a.csv.gz", Body=body)
    client.run(
        "CREATE EXTERNAL TABLE c (n int, s string) ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' "
        f"LOCATION 's3://{client.bucket}/csv/' TBLPROPERTIES ('skip.header.line.count'='1')",
        **within,
    )
    for format_ in ("PARQUET", "ORC", "AVRO", "JSON", "TEXTFILE"):
        made = (
            f"CREATE TABLE {format_} WITH (format = '{format_}', partitioned_by = ARRAY['p']) AS SELECT {VALUES} FROM c"
        )
        done = client.run(made, **within)
        assert done["Statistics"]["DataScannedInBytes"] == len(body)
        assert client.rows(f"SELECT * FROM {format_} WHERE p = 4", **within)[1:] == [ROW]
    assert client.rows('SELECT * FROM "orc$partitions" ORDER BY 1', **within) == [["p"], ["2"], ["4"]]
    bucketed = "format = 'TEXTFILE', field_delimiter = ';', bucketed_by = ARRAY['n'], bucket_count = 2"
    client.run(f"CREATE TABLE b WITH ({bucketed}) AS SELECT n, s FROM c", **within)
    assert client.rows('SELECT n, s, "$bucket" FROM b ORDER BY 1', **within)[1:] == [["1", "x", "1"], ["2", "y", "0"]]
    both = "SELECT parquet.s, count(*) FROM parquet JOIN json ON parquet.n = json.n WHERE parquet.p > 2 GROUP BY 1"
    assert client.rows(both, **within)[1:] == [["y", "1"]]


def test_logs_of_cloudtrail(client, unique):
    database = unique("db").replace("-", "_").lower()
    client.server.client("glue").create_database(DatabaseInput={"Name": database})
    within = {"QueryExecutionContext": {"Database": database}}
    records = [{"Time": "10:00", "resources": [{"ARN": "arn:a"}, {"ARN": "arn:b"}]}, {"Time": "11:00"}]
    body = gzip.compress(json.dumps({"Records": records}).encode())
    client.s3.put_object(Bucket=client.bucket, Key="trail/a.json.gz", Body=body)
    client.run(
        "CREATE EXTERNAL TABLE trail (time string, timestamp string, resources array<struct<arn:string>>) "
        "ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe' "
        "STORED AS INPUTFORMAT 'com.amazon.emr.cloudtrail.CloudTrailInputFormat' "
        "OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat' "
        f"LOCATION 's3://{client.bucket}/trail/'",
        **within,
    )
    assert client.rows("SELECT time, timestamp FROM trail ORDER BY time", **within)[1:] == [
        ["10:00", None],
        ["11:00", None],
    ]
    used = "SELECT time, r.arn FROM trail CROSS JOIN UNNEST(resources) AS t(r) ORDER BY 2"
    assert client.rows(used, **within)[1:] == [["10:00", "arn:a"], ["10:00", "arn:b"]]
    outer = "LEFT JOIN UNNEST(resources) WITH ORDINALITY AS t(r, n) ON true"
    path = f"SELECT \"$path\", n FROM trail {outer} WHERE time > '11'"
    assert client.rows(path, **within)[1:] == [[f"s3://{client.bucket}/trail/a.json.gz", None]]
    failed = client.ended(client.start("INSERT INTO trail SELECT 'x', 'y', NULL", **within))
    assert "INSERT INTO is not supported for tables of" in failed["Status"]["StateChangeReason"]
