"""Databases: create, drop, alter, describe, list."""

from typing import Any

from clary.kernel.core.errors import AwsError
from clary.systems.athena.contract import Outcome, Running
from clary.systems.athena.language.statements import (
    AlterDatabaseProperties,
    CreateDatabase,
    DescribeDatabase,
    DropDatabase,
    ShowDatabases,
)
from clary.systems.athena.statements import catalog
from clary.systems.athena.statements.patterns import matcher


def create_database(running: Running, statement: CreateDatabase) -> Outcome:
    name = catalog.database_named(running, statement.name)
    given: dict[str, Any] = {"Name": name}
    if statement.comment is not None:
        given["Description"] = statement.comment
    if statement.location is not None:
        given["LocationUri"] = statement.location
    if statement.properties:
        given["Parameters"] = dict(statement.properties)
    try:
        running.call("CreateDatabase", DatabaseInput=given)
    except AwsError as error:
        if error.code != "AlreadyExistsException":
            raise
        if not statement.if_not_exists and not running.resumed:
            raise catalog.execution(f"Database {name} already exists") from None
    return Outcome(statement.kind, statement.substatement, rows=())


def drop_database(running: Running, statement: DropDatabase) -> Outcome:
    """Remove a database; one that has tables only with CASCADE. The data of its tables stays."""
    name = catalog.database_named(running, statement.name)
    if catalog.find_database(running, name) is None:
        if not statement.if_exists and not running.resumed:
            raise catalog.no_database(name)
        return Outcome(statement.kind, statement.substatement, rows=())
    if not statement.cascade and running.call("GetTables", DatabaseName=name, MaxResults=1)["TableList"]:
        raise catalog.execution(
            f"InvalidOperationException(message:Database {name} is not empty. One or more tables exist.)"
        )
    try:
        running.call("DeleteDatabase", Name=name)
    except AwsError as error:
        if error.code != "EntityNotFoundException":
            raise
    return Outcome(statement.kind, statement.substatement, rows=())


def alter_database(running: Running, statement: AlterDatabaseProperties) -> Outcome:
    name = catalog.database_named(running, statement.name)
    found = catalog.database(running, name)
    given = {member: found[member] for member in _INPUT if found.get(member) is not None}
    given["Parameters"] = {**(found.get("Parameters") or {}), **statement.properties}
    running.call("UpdateDatabase", Name=name, DatabaseInput=given)
    return Outcome(statement.kind, statement.substatement, rows=())


def describe_database(running: Running, statement: DescribeDatabase) -> Outcome:
    found = catalog.database(running, catalog.database_named(running, statement.name))
    shown = [found["Name"], found.get("Description") or "", found.get("LocationUri") or "", "", ""]
    if statement.extended:
        properties = found.get("Parameters") or {}
        shown.append("{" + ", ".join(f"{name}={value}" for name, value in properties.items()) + "}")
    columns = catalog.text_columns("db_name", "comment", "location", "owner_name", "owner_type", "parameters")
    return Outcome(statement.kind, statement.substatement, columns[: len(shown)], rows=(shown,))


def show_databases(running: Running, statement: ShowDatabases) -> Outcome:
    wanted = matcher(statement.pattern)
    names = [each["Name"] for each in catalog.listed(running, "GetDatabases", "DatabaseList")]
    rows = [(name,) for name in names if wanted(name)]
    return Outcome(statement.kind, statement.substatement, catalog.text_columns("database_name"), rows=rows)


_INPUT = ("Name", "Description", "LocationUri", "Parameters")
