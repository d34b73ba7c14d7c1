"""Executions of queries, through a client."""

import pytest
from botocore.exceptions import ClientError


def test_a_query_runs_and_its_rows_lie_in_s3(client):
    done = client.run("SELECT 1 AS a, 'x\"y' AS b, NULL AS c, '' AS d")
    location = done["ResultConfiguration"]["OutputLocation"]
    assert location == f"{client.output}{done['QueryExecutionId']}.csv"
    assert (done["StatementType"], done["SubstatementType"]) == ("DML", "SELECT")
    key = location.removeprefix(f"s3://{client.bucket}/")
    stored = client.s3.get_object(Bucket=client.bucket, Key=key)["Body"].read()
    assert stored == b'"a","b","c","d"\n"1","x""y",,""\n'
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
