"""Executions of queries, through a client."""

import json

import pytest
from botocore.exceptions import ClientError

from clary.testing import eventually

LONG = """
    SELECT count(*) FROM UNNEST(sequence(1, 100000)) AS a (x) CROSS JOIN UNNEST(sequence(1, 100000)) AS b (y)
    CROSS JOIN UNNEST(sequence(1, 1000)) AS c (z) WHERE x * y % 7 = z
"""


def test_a_query_runs_and_its_rows_lie_in_s3(client):
    done = client.run("SELECT 1 AS a, 'x\"y' AS b, NULL AS c, '' AS d")
    location = done["ResultConfiguration"]["OutputLocation"]
    assert location == f"{client.output}{done['QueryExecutionId']}.csv"
    assert (done["StatementType"], done["SubstatementType"]) == ("DML", "SELECT")
    key = location.removeprefix(f"s3://{client.bucket}/")
    stored = client.s3.get_object(Bucket=client.bucket, Key=key)["Body"].read()
    assert stored == b'"a","b","c","d"\n"1","x""y",,""\n'
    columns = client.s3.get_object(Bucket=client.bucket, Key=f"{key}.metadata")["Body"].read()
    assert columns.startswith(b"\n$" + done["QueryExecutionId"].encode() + b'"')
    assert b"2\x07integer" in columns, "the type of a, field 6"
    assert client.rows("SELECT 1 AS a, NULL AS b") == [["a", "b"], ["1", None]]


def test_what_fails_says_why(client):
    failed = client.ended(client.start("SELECT CAST('x' AS integer)"))["Status"]
    assert failed["State"] == "FAILED"
    assert failed["AthenaError"]["ErrorCategory"] == 2
    assert failed["StateChangeReason"].startswith("INVALID_CAST_ARGUMENT")
    with pytest.raises(ClientError, match="No output location provided"):
        client.athena.start_query_execution(QueryString="SELECT 1")


def test_a_token_starts_one_query(client):
    token = client.unique("token-of-at-least-thirty-two-characters")
    assert client.start("SELECT 1", ClientRequestToken=token) == client.start("SELECT 1", ClientRequestToken=token)
    with pytest.raises(ClientError, match="Idempotent parameters do not match"):
        client.start("SELECT 2", ClientRequestToken=token)


def test_an_earlier_result_is_used_again(client):
    first = client.run("SELECT 41 + 1 AS answer")
    reuse = {"ResultReuseByAgeConfiguration": {"Enabled": True, "MaxAgeInMinutes": 5}}
    again = client.run("SELECT 41 + 1 AS answer", ResultReuseConfiguration=reuse)
    assert again["Statistics"]["ResultReuseInformation"] == {"ReusedPreviousResult": True}
    assert again["ResultConfiguration"]["OutputLocation"] == first["ResultConfiguration"]["OutputLocation"]
    other = client.run("SELECT 41 + 2 AS answer", ResultReuseConfiguration=reuse)
    assert other["Statistics"]["ResultReuseInformation"] == {"ReusedPreviousResult": False}


def test_a_query_that_runs_is_stopped(client):
    name = client.start(LONG)
    eventually(lambda: client.execution(name)["Status"]["State"] == "RUNNING")
    client.athena.stop_query_execution(QueryExecutionId=name)
    stopped = client.ended(name)["Status"]
    assert (stopped["State"], stopped["StateChangeReason"]) == ("CANCELLED", "Query cancelled by user")
    client.athena.stop_query_execution(QueryExecutionId=name)


def test_rows_come_in_pages(client):
    name = client.run("SELECT n, 'a\nb' AS t FROM UNNEST(sequence(1, 2500)) AS s (n) ORDER BY n")["QueryExecutionId"]
    first = client.athena.get_query_results(QueryExecutionId=name)
    assert [column["Type"] for column in first["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]] == ["bigint", "varchar"]
    assert len(first["ResultSet"]["Rows"]) == 1000
    pages = client.athena.get_paginator("get_query_results").paginate(QueryExecutionId=name)
    rows = [[datum["VarCharValue"] for datum in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]]
    assert rows == [["n", "t"], *([str(number), "a\nb"] for number in range(1, 2501))]
    told = client.athena.get_query_runtime_statistics(QueryExecutionId=name)["QueryRuntimeStatistics"]
    assert told["Rows"]["OutputRows"] == 2500


def test_a_work_group_has_metrics(client):
    group = client.unique("group")
    settings = {"PublishCloudWatchMetricsEnabled": True, "ResultConfiguration": {"OutputLocation": client.output}}
    client.athena.create_work_group(Name=group, Configuration=settings)
    client.run("SELECT 1", WorkGroup=group, ResultConfiguration={"OutputLocation": "s3://somewhere/else/"})
    dimensions = {"QueryState": "SUCCEEDED", "QueryType": "DML", "WorkGroup": group}
    listed = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    cloudwatch = client.server.client("cloudwatch")
    found = eventually(
        lambda: cloudwatch.list_metrics(Namespace="AWS/Athena", MetricName="ProcessedBytes", Dimensions=listed)[
            "Metrics"
        ]
    )
    assert len(found) == 1


def test_a_query_may_do_what_its_caller_may(client):
    iam, user = client.server.client("iam"), client.unique("user")
    iam.create_user(UserName=user)
    statements = [
        {"Effect": "Allow", "Action": ["athena:*", "glue:*"], "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::{client.bucket}/results/*"},
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=policy)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    client.athena = client.server.client(
        "athena", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )
    assert client.rows("SELECT 1 AS a") == [["a"], ["1"]]
    elsewhere = {"OutputLocation": f"s3://{client.bucket}/elsewhere/"}
    refused = client.ended(client.start("SELECT 1", ResultConfiguration=elsewhere))["Status"]
    assert refused["State"] == "FAILED"
    assert "not authorized to perform: s3:PutObject" in refused["StateChangeReason"]
    glue, database = client.server.client("glue"), client.unique("db").replace("-", "_")
    glue.create_database(DatabaseInput={"Name": database})
    serde = {"SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"}
    descriptor = {
        "Columns": [{"Name": "a", "Type": "int"}],
        "Location": f"s3://{client.bucket}/data/",
        "SerdeInfo": serde,
    }
    glue.create_table(DatabaseName=database, TableInput={"Name": "t", "StorageDescriptor": descriptor})
    refused = client.ended(client.start(f"SELECT a FROM {database}.t"))["Status"]
    assert "not authorized to perform: s3:ListBucket" in refused["StateChangeReason"]
    assert refused["AthenaError"]["ErrorType"] == 1301
