"""Databases and tables as clients use them."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.testing import Server

COLUMNS = [{"Name": "id", "Type": "bigint"}, {"Name": "name", "Type": "string", "Comment": "as given"}]


def table(name: str, **more: Any) -> dict[str, Any]:
    descriptor = {"Columns": COLUMNS, "Location": f"s3://bucket/{name}/"}
    return {"Name": name, "TableType": "EXTERNAL_TABLE", "StorageDescriptor": descriptor, **more}


def code(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return str(refused.value.response["Error"]["Code"])


def test_a_database_is_made_shown_changed_and_deleted(glue: Any, unique: Callable[[str], str]) -> None:
    name = unique("Shop").lower()
    given = {"Name": name.upper(), "Description": "sales", "LocationUri": "s3://shop/", "Parameters": {"a": "1"}}
    glue.create_database(DatabaseInput=given, Tags={"team": "lake"})
    assert code(glue.create_database, DatabaseInput={"Name": name}) == "AlreadyExistsException"
    shown = glue.get_database(Name=name.title(), CatalogId="000000000000")["Database"]
    assert shown.items() >= {**given, "Name": name, "CatalogId": "000000000000"}.items()
    assert shown["CreateTableDefaultPermissions"][0]["Permissions"] == ["ALL"]
    glue.update_database(Name=name, DatabaseInput={"Name": name, "Description": "all sales"})
    changed = glue.get_database(Name=name)["Database"]
    assert changed["Description"] == "all sales"
    assert "LocationUri" not in changed
    assert changed["CreateTime"] == shown["CreateTime"]
    arn = f"arn:aws:glue:us-east-1:000000000000:database/{name}"
    glue.tag_resource(ResourceArn=arn, TagsToAdd={"owner": "ada"})
    glue.untag_resource(ResourceArn=arn, TagsToRemove=["team"])
    assert glue.get_tags(ResourceArn=arn)["Tags"] == {"owner": "ada"}
    pages = glue.get_paginator("get_databases").paginate(PaginationConfig={"PageSize": 1})
    assert name in [each["Name"] for page in pages for each in page["DatabaseList"]]
    assert glue.get_databases(ResourceShareType="FOREIGN")["DatabaseList"] == []
    glue.delete_database(Name=name)
    assert code(glue.get_database, Name=name) == "EntityNotFoundException"
    assert code(glue.get_tags, ResourceArn=arn) == "EntityNotFoundException"
    assert code(glue.delete_database, Name=name) == "EntityNotFoundException"


def test_what_is_not_there_or_not_honoured_is_said(glue: Any, database: str) -> None:
    assert code(glue.get_database, Name=database, CatalogId="111122223333") == "EntityNotFoundException"
    assert code(glue.get_table, DatabaseName=database, Name="none") == "EntityNotFoundException"
    assert code(glue.get_tables, DatabaseName="no_such_database") == "EntityNotFoundException"
    assert code(glue.create_table, DatabaseName=database) == "InvalidInputException"
    for wrong in (
        {"TargetTable": {"DatabaseName": "a"}},
        {"TargetTable": {"DatabaseName": "a", "Name": "b"}},  # it has columns of its own
        {"PartitionKeys": [{"Name": "id", "Type": "int"}]},
        {"PartitionKeys": [{"Name": "day"}, {"Name": "Day"}]},
    ):
        assert code(glue.create_table, DatabaseName=database, TableInput=table("t", **wrong)) == "InvalidInputException"
    assert code(glue.get_tables, DatabaseName=database, Expression="(a") == "InvalidInputException"
    assert code(glue.get_tables, DatabaseName=database, NextToken="abc") == "InvalidInputException"


def test_a_table_keeps_its_versions(glue: Any, database: str) -> None:
    glue.create_table(DatabaseName=database.upper(), TableInput=table("Orders", Parameters={"n": "0"}))
    assert code(glue.create_table, DatabaseName=database, TableInput=table("orders")) == "AlreadyExistsException"
    first = glue.get_table(DatabaseName=database, Name="ORDERS")["Table"]
    assert (first["Name"], first["DatabaseName"], first["VersionId"]) == ("orders", database, "0")
    assert first["StorageDescriptor"]["Columns"] == COLUMNS
    assert first["StorageDescriptor"]["Compressed"] is False
    assert first["CreatedBy"].startswith("arn:aws:")
    for number in range(1, 5):
        glue.update_table(
            DatabaseName=database,
            TableInput=table("orders", Parameters={"n": str(number)}),
            VersionId=str(number - 1),
            SkipArchive=number == 3,
        )
    late = {"DatabaseName": database, "TableInput": table("orders"), "VersionId": "3"}
    assert code(glue.update_table, **late) == "ConcurrentModificationException"
    pages = glue.get_paginator("get_table_versions").paginate(
        DatabaseName=database, TableName="orders", PaginationConfig={"PageSize": 2}
    )
    versions = [each for page in pages for each in page["TableVersions"]]
    assert [each["VersionId"] for each in versions] == ["4", "3", "1", "0"]  # 2 was written over without an archive
    assert [each["Table"]["Parameters"]["n"] for each in versions] == ["4", "3", "1", "0"]
    one = {"DatabaseName": database, "TableName": "orders"}
    assert glue.get_table_version(**one, VersionId="1")["TableVersion"]["Table"]["VersionId"] == "1"
    assert glue.get_table_version(**one)["TableVersion"]["VersionId"] == "4"
    assert code(glue.get_table_version, **one, VersionId="2") == "EntityNotFoundException"
    errors = glue.batch_delete_table_version(**one, VersionIds=["0", "4", "9", "x"])["Errors"]
    assert {each["VersionId"]: each["ErrorDetail"]["ErrorCode"] for each in errors} == {
        "4": "InvalidInputException",
        "9": "EntityNotFoundException",
        "x": "InvalidInputException",
    }
    glue.delete_table(DatabaseName=database, Name="orders")
    glue.create_table(DatabaseName=database, TableInput=table("orders"))
    again = glue.get_table_versions(**one)["TableVersions"]
    assert [each["VersionId"] for each in again] == ["0"]


def test_of_many_who_update_one_version_one_does(glue: Any, database: str) -> None:
    glue.create_table(DatabaseName=database, TableInput=table("t"))

    def attempt(number: int) -> bool:
        try:
            glue.update_table(
                DatabaseName=database, TableInput=table("t", Parameters={"by": str(number)}), VersionId="0"
            )
        except glue.exceptions.ConcurrentModificationException:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(attempt, range(8)))
    assert won.count(True) == 1
    shown = glue.get_table(DatabaseName=database, Name="t")["Table"]
    assert (shown["VersionId"], shown["Parameters"]["by"]) == ("1", str(won.index(True)))


def test_tables_are_listed_by_pattern_and_page(glue: Any, database: str) -> None:
    names = ["a_orders", "a_sales", "b_orders", "c9", "c_"]
    for name in names:
        glue.create_table(DatabaseName=database, TableInput=table(name))

    def listed(expression: str) -> list[str]:
        pages = glue.get_paginator("get_tables").paginate(
            DatabaseName=database, Expression=expression, PaginationConfig={"PageSize": 2}
        )
        return [each["Name"] for page in pages for each in page["TableList"]]

    assert listed("") == names
    assert listed("a_*") == ["a_orders", "a_sales"]
    assert listed("*_orders") == ["a_orders", "b_orders"]
    assert listed("A.*|c[0-9]") == ["a_orders", "a_sales", "c9"]
    assert listed("^c.$") == ["c9", "c_"]
    assert listed("orders") == []
    assert listed("*" + "o*" * 30) == []
    tables = glue.get_tables(DatabaseName=database, AttributesToGet=["NAME"])["TableList"]
    assert tables == [{"Name": name} for name in names]
    errors = glue.batch_delete_table(DatabaseName=database, TablesToDelete=["c9", "none"])["Errors"]
    assert [(each["TableName"], each["ErrorDetail"]["ErrorCode"]) for each in errors] == [
        ("none", "EntityNotFoundException")
    ]
    glue.delete_database(Name=database)
    assert code(glue.get_tables, DatabaseName=database) == "EntityNotFoundException"
    glue.create_database(DatabaseInput={"Name": database})
    assert glue.get_tables(DatabaseName=database)["TableList"] == []


def test_tables_are_searched(glue: Any, database: str) -> None:
    for name, more in (
        ("orders", {"Description": "What people bought"}),
        ("order_lines", {"Parameters": {"classification": "parquet"}}),
        ("people", {"Owner": "ada"}),
    ):
        glue.create_table(DatabaseName=database, TableInput=table(name, **more))
    here = {"Key": "DatabaseName", "Value": database}

    def found(*filters: dict[str, str], **more: Any) -> list[str]:
        names, token = [], {}
        while True:
            page = glue.search_tables(Filters=[here, *filters], MaxResults=2, **token, **more)
            names += [each["Name"] for each in page["TableList"]]
            if "NextToken" not in page:
                return names
            token = {"NextToken": page["NextToken"]}

    assert found() == ["order_lines", "orders", "people"]
    assert found(SortCriteria=[{"FieldName": "Name", "Sort": "DESC"}]) == ["people", "orders", "order_lines"]
    assert found(SearchText="PEOPLE") == ["orders", "people"]
    assert found(SearchText='"people"') == ["people"]
    assert found(SearchText="order parquet") == ["order_lines"]
    assert found({"Key": "owner", "Value": "ada"}) == ["people"]
    assert found({"Key": "UpdateTime", "Value": "2020-01-01T00:00:00Z", "Comparator": "LESS_THAN"}) == []
    assert code(glue.search_tables, Filters=[{"Key": "Colour", "Value": "red"}]) == "InvalidInputException"
    glue.delete_database(Name=database)
    assert found() == []


def test_policies_are_asked_about_catalog_database_and_table(
    server: Server, glue: Any, database: str, unique: Callable[[str], str]
) -> None:
    iam, user = server.client("iam"), unique("reader")
    place = "arn:aws:glue:us-east-1:000000000000"
    own = [f"{place}:catalog", f"{place}:database/{database}", f"{place}:table/{database}/open"]
    iam.create_user(UserName=user)
    reading = {"Effect": "Allow", "Action": "glue:GetTable", "Resource": own}
    tags = {"Effect": "Allow", "Action": "glue:GetTags", "Resource": "*"}
    but = {"Effect": "Deny", "Action": "glue:GetTags", "Resource": f"{place}:database/{database}"}
    policy = {"Version": "2012-10-17", "Statement": [reading, tags, but]}
    iam.put_user_policy(UserName=user, PolicyName="read", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    reader = server.client("glue", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    for name in ("open", "closed"):
        glue.create_table(DatabaseName=database, TableInput=table(name))
    assert reader.get_table(DatabaseName=database.upper(), Name="Open")["Table"]["Name"] == "open"
    for refused in (
        lambda: reader.get_table(DatabaseName=database, Name="CLOSED"),
        lambda: reader.get_tables(DatabaseName=database),
        lambda: reader.delete_table(DatabaseName=database, Name="open"),
        lambda: reader.get_tags(ResourceArn=f"{place}:database/{database.upper()}"),
    ):
        with pytest.raises(reader.exceptions.AccessDeniedException):
            refused()
