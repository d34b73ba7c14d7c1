"""UNLOAD: the rows of a query as files of a format, in a folder that is empty until then."""

from clary.lake.engine.tasks import TableFiles
from clary.lake.hive_paths import partition_path
from clary.lake.tables import Column
from clary.systems.athena.contract import Outcome, Running, StatementFailed
from clary.systems.athena.language.statements import Unload
from clary.systems.athena.running.plans import planned
from clary.systems.athena.statements import written_properties
from clary.systems.athena.statements.storage import checked_location
from clary.systems.athena.statements.writing import Places, check_empty, finished, outcome_of, store, table_type


def unload(running: Running, statement: Unload) -> Outcome:
    written = written_properties.of_unload(statement.properties)
    location = checked_location(statement.location).rstrip("/")
    stored = finished(running)
    if stored is None:
        plan = planned(running, statement.query)
        columns = tuple(
            Column(each.name.lower(), table_type(each, place)) for place, each in enumerate(plan.columns, 1)
        )
        names = [column.name for column in columns]
        for name in names:
            if names.count(name) > 1:
                raise StatementFailed(
                    "DUPLICATE_COLUMN_NAME", f"line 1:1: Column name '{name}' specified more than once"
                )
        written_properties.check_keys(columns, written)
        there = f"Target directory already exists: {location}. UNLOAD writes into empty folders"
        check_empty(running, location, there)
        output = TableFiles(written.format, columns, written.keys, properties=written.properties)

        def folder(values: tuple[str, ...]) -> str:
            return f"{location}/{partition_path(written.keys, values)}" if values else location

        stored = store(running, statement, plan, output, lambda _: Places(folder))
        check_empty(running, location, there, stored.uris)
    return outcome_of(statement, stored.uris, stored.rows)
