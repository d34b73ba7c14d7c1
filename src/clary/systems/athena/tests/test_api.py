"""Work groups, saved queries, catalogs and metadata, over a platform without a server."""

import re

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms.tests.in_process import ACCOUNT, REGION


@pytest.fixture
def athena(caller):
    return caller("athena")


@pytest.fixture
def bucket(platform):
    platform.objects.buckets.create("results", ACCOUNT, REGION)
    return "s3://results/of/queries/"


def test_work_groups(athena, bucket):
    primary = athena("GetWorkGroup", WorkGroup="primary")["WorkGroup"]
    assert (primary["State"], primary["Configuration"]["EnforceWorkGroupConfiguration"]) == ("ENABLED", False)
    settings = {"ResultConfiguration": {"OutputLocation": bucket}, "BytesScannedCutoffPerQuery": 10_000_000}
    athena("CreateWorkGroup", Name="team", Configuration=settings, Tags=[{"Key": "a", "Value": "b"}])
    with pytest.raises(AwsError, match="already created"):
        athena("CreateWorkGroup", Name="team")
    with pytest.raises(AwsError, match="ManagedQueryResultsConfiguration is not supported"):
        athena("CreateWorkGroup", Name="other", Configuration={"ManagedQueryResultsConfiguration": {"Enabled": True}})
    assert [each["Name"] for each in athena("ListWorkGroups")["WorkGroups"]] == ["primary", "team"]
    arn = f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/team"
    athena("TagResource", ResourceARN=arn, Tags=[{"Key": "c", "Value": "d"}])
    athena("UntagResource", ResourceARN=arn, TagKeys=["a"])
    assert athena("ListTagsForResource", ResourceARN=arn)["Tags"] == [{"Key": "c", "Value": "d"}]

    started = athena("StartQueryExecution", QueryString="SELECT 1", WorkGroup="team")["QueryExecutionId"]
    athena(
        "UpdateWorkGroup",
        WorkGroup="team",
        State="DISABLED",
        ConfigurationUpdates={
            "RemoveBytesScannedCutoffPerQuery": True,
            "ResultConfigurationUpdates": {"RemoveOutputLocation": True},
        },
    )
    changed = athena("GetWorkGroup", WorkGroup="team")["WorkGroup"]
    assert changed["Configuration"]["ResultConfiguration"] == {}
    assert "BytesScannedCutoffPerQuery" not in changed["Configuration"]
    with pytest.raises(AwsError, match="WorkGroup team is disabled"):
        athena("StartQueryExecution", QueryString="SELECT 1", WorkGroup="team")
    with pytest.raises(AwsError, match="not empty"):
        athena("DeleteWorkGroup", WorkGroup="team")
    athena("DeleteWorkGroup", WorkGroup="team", RecursiveDeleteOption=True)
    with pytest.raises(AwsError, match="was not found"):
        athena("GetQueryExecution", QueryExecutionId=started)


def test_a_query_that_waits_is_shown_listed_and_cancelled(athena, bucket):
    results = {"OutputLocation": bucket}
    ids = [
        athena("StartQueryExecution", QueryString=f"SELECT {number}", ResultConfiguration=results)["QueryExecutionId"]
        for number in range(3)
    ]
    first = athena("ListQueryExecutions", MaxResults=2)
    rest = athena("ListQueryExecutions", MaxResults=2, NextToken=first["NextToken"])
    assert sorted(first["QueryExecutionIds"] + rest["QueryExecutionIds"]) == sorted(ids)
    athena("StopQueryExecution", QueryExecutionId=ids[0])
    found = athena("BatchGetQueryExecution", QueryExecutionIds=[*ids, "other"])
    assert [each["Status"]["State"] for each in found["QueryExecutions"]] == ["CANCELLED", "QUEUED", "QUEUED"]
    assert [each["QueryExecutionId"] for each in found["UnprocessedQueryExecutionIds"]] == ["other"]
    with pytest.raises(AwsError, match="Current state: QUEUED"):
        athena("GetQueryResults", QueryExecutionId=ids[1])


def test_results_go_where_they_can(athena, bucket):
    def start(**results):
        athena("StartQueryExecution", QueryString="SELECT 1", ResultConfiguration=results)

    with pytest.raises(AwsError, match="Unable to verify/create output bucket"):
        start(OutputLocation="s3://nowhere/")
    with pytest.raises(AwsError, match="ExpectedBucketOwner"):
        start(OutputLocation=bucket, ExpectedBucketOwner="999988887777")
    with pytest.raises(AwsError, match="CSE_KMS is not supported"):
        start(OutputLocation=bucket, EncryptionConfiguration={"EncryptionOption": "CSE_KMS", "KmsKey": "a"})
    with pytest.raises(AwsError, match="Data catalog other was not found"):
        athena(
            "StartQueryExecution",
            QueryString="SELECT 1",
            ResultConfiguration={"OutputLocation": bucket},
            QueryExecutionContext={"Catalog": "other"},
        )


def test_named_queries(athena):
    token = "a-token-that-is-at-least-32-characters-long"
    query = {"Name": "daily", "Database": "d", "QueryString": "SELECT 1", "ClientRequestToken": token}
    name = athena("CreateNamedQuery", **query)["NamedQueryId"]
    assert athena("CreateNamedQuery", **query)["NamedQueryId"] == name
    athena("UpdateNamedQuery", NamedQueryId=name, Name="weekly", QueryString="SELECT 2", Description="of a week")
    shown = athena("GetNamedQuery", NamedQueryId=name)["NamedQuery"]
    assert (shown["Name"], shown["QueryString"], shown["Description"]) == ("weekly", "SELECT 2", "of a week")
    assert athena("ListNamedQueries")["NamedQueryIds"] == [name]
    found = athena("BatchGetNamedQuery", NamedQueryIds=[name, "other"])
    assert len(found["NamedQueries"]) == len(found["UnprocessedNamedQueryIds"]) == 1
    athena("DeleteNamedQuery", NamedQueryId=name)
    with pytest.raises(AwsError, match="was not found"):
        athena("GetNamedQuery", NamedQueryId=name)


def test_prepared_statements(athena):
    place = {"StatementName": "by_day", "WorkGroup": "primary"}
    athena("CreatePreparedStatement", **place, QueryStatement="SELECT ?")
    with pytest.raises(AwsError, match="already exists"):
        athena("CreatePreparedStatement", **place, QueryStatement="SELECT ?")
    athena("UpdatePreparedStatement", **place, QueryStatement="SELECT ?, 2")
    assert athena("GetPreparedStatement", **place)["PreparedStatement"]["QueryStatement"] == "SELECT ?, 2"
    assert [
        each["StatementName"] for each in athena("ListPreparedStatements", WorkGroup="primary")["PreparedStatements"]
    ]
    athena("DeletePreparedStatement", **place)
    with pytest.raises(AwsError, match="ResourceNotFoundException"):
        athena("GetPreparedStatement", **place)


def test_data_catalogs_and_what_is_in_them(athena, caller):
    glue = caller("glue")
    glue("CreateDatabase", DatabaseInput={"Name": "sales", "Description": "of things"})
    for name in ("orders", "items"):
        columns = [{"Name": "a", "Type": "int"}, {"Name": "b", "Type": "string", "Comment": "why"}]
        descriptor = {"Columns": columns, "Location": f"s3://x/{name}/"}
        glue("CreateTable", DatabaseName="sales", TableInput={"Name": name, "StorageDescriptor": descriptor})
    with pytest.raises(AwsError, match="LAMBDA are not supported"):
        athena("CreateDataCatalog", Name="Other", Type="LAMBDA")
    athena("CreateDataCatalog", Name="Other", Type="GLUE", Parameters={"catalog-id": ACCOUNT})
    listed = athena("ListDataCatalogs")["DataCatalogsSummary"]
    assert [each["CatalogName"] for each in listed] == ["AwsDataCatalog", "Other"]
    assert athena("GetDatabase", CatalogName="other", DatabaseName="sales")["Database"]["Description"] == "of things"
    assert [each["Name"] for each in athena("ListDatabases", CatalogName="AwsDataCatalog")["DatabaseList"]] == ["sales"]
    place = {"CatalogName": "AwsDataCatalog", "DatabaseName": "sales"}
    table = athena("GetTableMetadata", **place, TableName="orders")["TableMetadata"]
    assert [column["Name"] for column in table["Columns"]] == ["a", "b"]
    assert table["Parameters"]["location"] == "s3://x/orders/"
    found = athena("ListTableMetadata", **place, Expression="it.*")["TableMetadataList"]
    assert [each["Name"] for each in found] == ["items"]
    with pytest.raises(AwsError) as refused:
        athena("GetTableMetadata", **place, TableName="nothing")
    # As PyAthena's dialect of SQLAlchemy reads it, to tell that there is no such table.
    envelope = r"\(Service: AmazonDataCatalog; Status Code: \d+; Error Code: EntityNotFoundException;[^()]*\)$"
    assert refused.value.code == "MetadataException"
    assert re.search(envelope, refused.value.message)
