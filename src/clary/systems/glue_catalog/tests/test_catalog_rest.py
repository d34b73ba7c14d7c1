"""Statistics of columns, user-defined functions, the catalog's policy and settings, as clients use them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.testing import Server

NOW = datetime(2024, 3, 1, tzinfo=UTC)
STATISTICS: dict[str, tuple[str, dict[str, Any]]] = {
    "ok": ("BOOLEAN", {"NumberOfTrues": 3, "NumberOfFalses": 2, "NumberOfNulls": 0}),
    "day": ("DATE", {"MinimumValue": NOW, "MaximumValue": NOW, "NumberOfNulls": 0, "NumberOfDistinctValues": 1}),
    "price": (
        "DECIMAL",
        {
            "MinimumValue": {"UnscaledValue": b"\x01", "Scale": 2},
            "MaximumValue": {"UnscaledValue": b"\x7f\xff", "Scale": 2},
            "NumberOfNulls": 1,
            "NumberOfDistinctValues": 9,
        },
    ),
    "ratio": ("DOUBLE", {"MinimumValue": -1.5, "MaximumValue": 2.5, "NumberOfNulls": 0, "NumberOfDistinctValues": 4}),
    "n": ("LONG", {"MinimumValue": 1, "MaximumValue": 9, "NumberOfNulls": 0, "NumberOfDistinctValues": 4}),
    "name": ("STRING", {"MaximumLength": 9, "AverageLength": 4.5, "NumberOfNulls": 0, "NumberOfDistinctValues": 4}),
    "raw": ("BINARY", {"MaximumLength": 9, "AverageLength": 4.5, "NumberOfNulls": 0}),
}


def statistics(column: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "ColumnName": column,
        "ColumnType": "string",
        "AnalyzedTime": NOW,
        "StatisticsData": {"Type": kind, f"{kind.title()}ColumnStatisticsData": data},
    }


def test_statistics_of_tables_and_partitions(glue: Any, database: str) -> None:
    columns = [{"Name": name, "Type": "string"} for name in STATISTICS]
    given = {"Name": "t", "PartitionKeys": [{"Name": "k"}], "StorageDescriptor": {"Columns": columns}}
    glue.create_table(DatabaseName=database, TableInput=given)
    glue.create_partition(DatabaseName=database, TableName="t", PartitionInput={"Values": ["a\nb"]})
    target = {"DatabaseName": database, "TableName": "t"}
    made = [statistics(name, *data) for name, data in STATISTICS.items()]
    wrong = [statistics("none", *STATISTICS["n"]), {**statistics("n", *STATISTICS["n"])}]
    wrong[1]["StatisticsData"] = {"Type": "LONG"}
    answer = glue.update_column_statistics_for_table(**target, ColumnStatisticsList=[*made, *wrong])
    assert [each["Error"]["ErrorCode"] for each in answer["Errors"]] == [
        "EntityNotFoundException",
        "InvalidInputException",
    ]
    found = glue.get_column_statistics_for_table(**target, ColumnNames=[*STATISTICS, "none"])
    assert found["ColumnStatisticsList"] == made
    assert [each["ColumnName"] for each in found["Errors"]] == ["none"]
    partition = {**target, "PartitionValues": ["a\nb"]}
    assert glue.update_column_statistics_for_partition(**partition, ColumnStatisticsList=made[:2])["Errors"] == []
    found = glue.get_column_statistics_for_partition(**partition, ColumnNames=["ok", "n"])
    assert (found["ColumnStatisticsList"], len(found["Errors"])) == (made[:1], 1)
    glue.delete_column_statistics_for_partition(**partition, ColumnName="ok")
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.delete_column_statistics_for_partition(**partition, ColumnName="ok")
    glue.delete_column_statistics_for_table(**target, ColumnName="n")
    assert glue.get_column_statistics_for_table(**target, ColumnNames=["n"])["ColumnStatisticsList"] == []
    # A partition made anew knows nothing of its predecessor's.
    glue.delete_partition(**partition)
    glue.create_partition(**target, PartitionInput={"Values": ["a\nb"]})
    assert glue.get_column_statistics_for_partition(**partition, ColumnNames=["day"])["ColumnStatisticsList"] == []
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_column_statistics_for_partition(**target, PartitionValues=["c"], ColumnNames=["day"])


def test_user_defined_functions(glue: Any, database: str) -> None:
    given = {"FunctionName": "Add_One", "ClassName": "org.Add", "OwnerName": "ada", "OwnerType": "USER"}
    uris = [{"ResourceType": "JAR", "Uri": "s3://b/add.jar"}]
    glue.create_user_defined_function(DatabaseName=database, FunctionInput={**given, "ResourceUris": uris})
    with pytest.raises(glue.exceptions.AlreadyExistsException):
        glue.create_user_defined_function(DatabaseName=database, FunctionInput=given)
    named = {"DatabaseName": database, "FunctionName": "ADD_ONE"}
    shown = glue.get_user_defined_function(**named)["UserDefinedFunction"]
    assert (shown["FunctionName"], shown["ResourceUris"], shown["FunctionType"]) == (
        "add_one",
        uris,
        "REGULAR_FUNCTION",
    )
    glue.update_user_defined_function(**named, FunctionInput={"ClassName": "org.More"})
    found = glue.get_user_defined_functions(DatabaseName=database, Pattern="add*")["UserDefinedFunctions"]
    assert [each["ClassName"] for each in found] == ["org.More"]
    assert glue.get_user_defined_functions(DatabaseName=database, Pattern="sub.*")["UserDefinedFunctions"] == []
    everywhere = glue.get_user_defined_functions(Pattern=".*")["UserDefinedFunctions"]
    assert (database, "add_one") in [(each["DatabaseName"], each["FunctionName"]) for each in everywhere]
    glue.delete_user_defined_function(**named)
    for call in (glue.get_user_defined_function, glue.delete_user_defined_function):
        with pytest.raises(glue.exceptions.EntityNotFoundException):
            call(**named)


def test_the_catalogs_policy_denies(server: Server, glue: Any, database: str, unique: Any) -> None:
    iam, name = server.client("iam"), unique("ada")
    iam.create_user(UserName=name)
    allowed = {"Effect": "Allow", "Action": "glue:*", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [allowed]}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    theirs = server.client("glue", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    theirs.get_database(Name=database)
    user = iam.get_user(UserName=name)["User"]["Arn"]
    resource = f"arn:aws:glue:us-east-1:000000000000:database/{database}"
    denied = {"Effect": "Deny", "Principal": {"AWS": user}, "Action": "glue:GetDatabase", "Resource": resource}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [denied]})
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.put_resource_policy(PolicyInJson=policy, PolicyExistsCondition="MUST_EXIST")
    made = glue.put_resource_policy(PolicyInJson=policy)
    try:
        with pytest.raises(ClientError, match="explicit deny"):
            theirs.get_database(Name=database)
        assert glue.get_resource_policy()["PolicyInJson"] == policy
        assert len(glue.get_resource_policies()["GetResourcePoliciesResponseList"]) == 1
        with pytest.raises(glue.exceptions.ConditionCheckFailureException):
            glue.delete_resource_policy(PolicyHashCondition="other")
    finally:
        glue.delete_resource_policy(PolicyHashCondition=made["PolicyHash"])
    theirs.get_database(Name=database)
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_resource_policy()


def test_resource_links_lead_to_what_they_name(glue: Any, database: str) -> None:
    columns = {"Columns": [{"Name": "id", "Type": "bigint"}], "Location": "s3://b/t/"}
    keys = [{"Name": "k", "Type": "string"}]
    given = {"Name": "t", "PartitionKeys": keys, "StorageDescriptor": columns}
    glue.create_table(DatabaseName=database, TableInput=given)
    of_table, of_database = {"DatabaseName": database, "Name": "T"}, {"DatabaseName": database}
    glue.create_table(DatabaseName=database, TableInput={"Name": "link", "TargetTable": of_table})
    glue.create_partition(DatabaseName=database, TableName="link", PartitionInput={"Values": ["x"]})
    assert len(glue.get_partitions(DatabaseName=database, TableName="t")["Partitions"]) == 1
    shown = glue.get_table(DatabaseName=database, Name="link")["Table"]
    assert (shown["Name"], shown["TargetTable"], shown["PartitionKeys"]) == ("link", of_table, keys)
    assert [each["Name"] for each in glue.get_tables(DatabaseName=database)["TableList"]] == ["link", "t"]
    linked = f"{database}_link"
    glue.create_database(DatabaseInput={"Name": linked, "TargetDatabase": of_database})
    assert glue.get_database(Name=linked)["Database"]["TargetDatabase"] == of_database
    assert glue.get_table(DatabaseName=linked, Name="link")["Table"]["StorageDescriptor"]["Location"] == "s3://b/t/"
    glue.create_table(DatabaseName=linked, TableInput={"Name": "made", "StorageDescriptor": columns})
    glue.delete_table(DatabaseName=database, Name="made")
    glue.delete_table(DatabaseName=linked, Name="t")
    assert [each["Name"] for each in glue.get_tables(DatabaseName=database)["TableList"]] == ["link"]
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_table(DatabaseName=database, Name="link")
    glue.delete_table(DatabaseName=database, Name="link")
    glue.delete_database(Name=linked)
    glue.get_database(Name=database)
    away = {"Name": "away", "TargetDatabase": {**of_database, "CatalogId": "111122223333"}}
    with pytest.raises(glue.exceptions.InvalidInputException):
        glue.create_database(DatabaseInput=away)


def test_settings_of_the_catalog(glue: Any) -> None:
    settings = glue.get_data_catalog_encryption_settings()["DataCatalogEncryptionSettings"]
    assert settings["EncryptionAtRest"]["CatalogEncryptionMode"] == "DISABLED"
    glue.put_data_catalog_encryption_settings(DataCatalogEncryptionSettings=settings)
    with pytest.raises(ClientError, match="no KMS"):
        glue.put_data_catalog_encryption_settings(
            DataCatalogEncryptionSettings={"EncryptionAtRest": {"CatalogEncryptionMode": "SSE-KMS"}}
        )
    glue.import_catalog_to_glue()
    assert glue.get_catalog_import_status()["ImportStatus"]["ImportCompleted"] is True
