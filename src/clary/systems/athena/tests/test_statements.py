"""Statements through a client, from their start to their results in S3."""

import pytest


def test_a_table_from_its_ddl_to_what_is_unloaded_of_it(client, unique):
    database = unique("db").replace("-", "_").lower()
    context = {"QueryExecutionContext": {"Database": f"`{database}`"}}
    created = client.run(f"CREATE DATABASE `{database}`;")
    assert (created["StatementType"], created["SubstatementType"]) == ("DDL", "CREATE_DATABASE")
    for name, text in {"dt=2024-01-01/a.csv": "1,x\n2,y\n", "dt=2024-01-02/b.csv": "3,z\n"}.items():
        client.s3.put_object(Bucket=client.bucket, Key=f"logs/{name}", Body=text.encode())
    client.run(
        "CREATE EXTERNAL TABLE logs (id int, name string) PARTITIONED BY (dt date) "
        f"ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' LOCATION 's3://{client.bucket}/logs/'",
        **context,
    )
    assert client.rows("MSCK REPAIR TABLE logs", **context)[1:] == [
        ["Repair: Added partition to metastore logs:dt=2024-01-01"],
        ["Repair: Added partition to metastore logs:dt=2024-01-02"],
    ]
    assert client.rows("SELECT * FROM logs WHERE dt > DATE '2024-01-01'", **context) == [
        ["id", "name", "dt"], ["3", "z", "2024-01-02"]
    ]  # fmt: skip
    described = client.run("DESCRIBE logs", **context)
    assert described["ResultConfiguration"]["OutputLocation"].endswith(".txt")
    assert client.rows("DESCRIBE logs", **context)[0] == ["id".ljust(20) + "\t" + "int".ljust(20) + "\t" + " " * 20]

    made = client.run(
        "CREATE TABLE t WITH (format = 'ORC') AS SELECT name, count(*) AS n FROM logs GROUP BY name", **context
    )
    results = client.athena.get_query_results(QueryExecutionId=made["QueryExecutionId"])
    assert (results["UpdateCount"], results["ResultSet"]["Rows"]) == (3, [])
    manifest = made["Statistics"]["DataManifestLocation"]
    assert manifest == f"{client.output}{made['QueryExecutionId']}-manifest.csv"
    client.run("INSERT INTO t SELECT 'more', 7", **context)
    client.run("PREPARE total FROM SELECT sum(n) FROM t WHERE n >= ?", **context)
    assert client.rows("EXECUTE total", ExecutionParameters=["7"], **context) == [["_col0"], ["7"]]
    assert client.rows("EXECUTE total USING 1", **context) == [["_col0"], ["10"]]
    client.run("CREATE VIEW v AS SELECT * FROM t", **context)
    unloaded = client.run(
        f"UNLOAD (SELECT * FROM v) TO 's3://{client.bucket}/unloaded/' WITH (format = 'JSON', compression = 'NONE')",
        **context,
    )
    bucket, key = unloaded["Statistics"]["DataManifestLocation"].removeprefix("s3://").split("/", 1)
    listed = client.s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode().split()
    bodies = [client.s3.get_object(Bucket=bucket, Key=each.split("/", 3)[3])["Body"].read().decode() for each in listed]
    assert sorted("".join(bodies).splitlines())[0] == '{"name":"more","n":7}'


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT 1; SELECT 2", "Only one sql statement is allowed"),
        ("DROP TABLE a-b", "FAILED: ParseException line 1:12 missing EOF at '-' near 'a'"),
        ("SELECT * FROM (SELECT 1", "SYNTAX_ERROR: line 1:24: mismatched input '<EOF>'. Expecting: ')'"),
        ("DESCRIBE nope", "FAILED: SemanticException [Error 10001]: Table not found default.nope"),
    ],
)
def test_why_a_statement_fails(client, query, reason):
    status = client.ended(client.start(query))["Status"]
    assert status["State"] == "FAILED"
    assert reason in status["StateChangeReason"]
