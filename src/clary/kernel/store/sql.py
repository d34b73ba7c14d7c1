"""The record store over SQLAlchemy Core: one table, any SQL database; SQLite embedded.

SQLite runs in WAL mode with synchronous FULL, so that a commit is on disk when it returns, and every write
begins IMMEDIATE, so that two writers queue instead of failing half-way.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from clary.kernel.store.contract import AlreadyExists, Change, Conflict, Delete, Insert, Key, Query, Replace, Row

SCHEMA_RELEASE = 1
_BUSY_TIMEOUT_MS = 30_000
_READS = "reads"  # the option of connections that read
_LAST_CHARACTER = "\U0010ffff"
_FIRST_SURROGATE, _BEHIND_SURROGATES = 0xD800, 0xE000  # no text that can be stored has what is between

_metadata = sa.MetaData()
_records = sa.Table(
    "records",
    _metadata,
    sa.Column("kind", sa.String, primary_key=True),
    sa.Column("account", sa.String, primary_key=True),
    sa.Column("region", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("parent", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("schema", sa.Integer, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("records_created", "kind", "account", "region", "created_at", "name"),
    sa.Index("records_updated", "kind", "account", "region", "updated_at", "name"),
    sa.Index("records_status", "kind", "status"),
    sa.Index("records_parent", "kind", "account", "region", "parent", "name"),
    sqlite_with_rowid=False,
)
_release = sa.Table("schema_release", _metadata, sa.Column("release", sa.Integer, primary_key=True))

# What SQLite's planner is told about each index: rows in all, then rows for one value of the first column, of the first
# two, and so on. Without, it reads all records of a kind where the index on status leads to the few active ones.
_STATISTICS = {
    "records": "1000000 20000 20000 10000 1",
    "records_created": "1000000 20000 20000 10000 2 1",
    "records_updated": "1000000 20000 20000 10000 2 1",
    "records_status": "1000000 20000 100",
    "records_parent": "1000000 20000 20000 10000 100 1",
}

_get = sa.select(_records).where(
    _records.c.kind == sa.bindparam("kind"),
    _records.c.account == sa.bindparam("account"),
    _records.c.region == sa.bindparam("region"),
    _records.c.name == sa.bindparam("name"),
)

# Statements that are made once: SQLAlchemy takes longer to make one than SQLite to carry it out.
_KEY = ("kind", "account", "region", "name")
_same_key = sa.and_(*(_records.c[name] == sa.bindparam(f"its_{name}") for name in _KEY))
_same_version = sa.and_(_same_key, _records.c.version == sa.bindparam("its_version"))
_insert = _records.insert()
_replace = _records.update().where(_same_version)
_delete = _records.delete().where(_same_key)
_delete_version = _records.delete().where(_same_version)


class SqlStore:
    """A `Store` in a SQL database. Open with `open_sqlite`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._reader = engine.execution_options(**{_READS: True})
        with engine.begin() as connection:
            _metadata.create_all(connection)
            found = connection.execute(sa.select(_release.c.release)).scalar()
            if found is None:
                connection.execute(_release.insert().values(release=SCHEMA_RELEASE))
            elif found > SCHEMA_RELEASE:
                raise RuntimeError(
                    f"the records were written by a newer Clary (schema release {found}, this one knows "
                    f"{SCHEMA_RELEASE}): upgrade Clary or choose another home"
                )

    def get(self, key: Key) -> Row | None:
        with self._reader.connect() as connection:
            found = connection.execute(_get, _columns_of(key)).one_or_none()
        return None if found is None else _row(found)

    def apply(self, changes: Sequence[Change]) -> list[Row | None]:
        with self._engine.begin() as connection:
            return [_carry_out(connection, change) for change in changes]

    def select(self, query: Query) -> list[Row]:
        values = _asked(query)
        statement = _selection(tuple(values), query.sort, query.descending)
        with self._reader.connect() as connection:
            return [_row(found) for found in connection.execute(statement, values)]

    def count(self, query: Query) -> int:
        values = _asked(query)
        with self._reader.connect() as connection:
            return int(connection.execute(_counting(tuple(values)), values).scalar_one())

    def clear(self) -> None:
        with self._engine.begin() as connection:
            connection.execute(_records.delete())

    def close(self) -> None:
        self._engine.dispose()


def open_sqlite(path: Path, *, durable: bool = True) -> SqlStore:
    """Open, and create where it is missing, the embedded store in the file `path`.

    Without `durable`, what was written survives the end of any process but not a power cut; for throw-away servers.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):  # it holds secrets; what SQLite puts beside it is as private as it is
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    synchronous = "FULL" if durable else "OFF"
    engine = sa.create_engine(
        f"sqlite+pysqlite:///{path}", connect_args={"check_same_thread": False, "timeout": _BUSY_TIMEOUT_MS / 1000}
    )

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", f"busy_timeout={_BUSY_TIMEOUT_MS}"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if not connection.get_execution_options().get(_READS):  # readers wait for nobody
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    store = SqlStore(engine)
    _steer_planner(engine)
    return store


def _steer_planner(engine: sa.Engine) -> None:
    """Give a database that has no statistics those of a large one. New connections plan by them."""
    with engine.begin() as connection:
        if sa.inspect(connection).has_table("sqlite_stat1"):
            return
        connection.exec_driver_sql("ANALYZE schema_release")
        connection.exec_driver_sql("DELETE FROM sqlite_stat1")
        for index, rows in _STATISTICS.items():
            connection.exec_driver_sql("INSERT INTO sqlite_stat1 VALUES ('records', ?, ?)", (index, rows))
    engine.dispose()


def _carry_out(connection: sa.Connection, change: Change) -> Row | None:
    match change:
        case Insert(row):
            fresh = _with_version(row, 1)
            try:
                connection.execute(_insert, _columns_of(row.key) | _values(fresh) | {"created_at": row.created_at})
            except IntegrityError as error:
                raise AlreadyExists(str(row.key)) from error
            return fresh
        case Replace(row):
            fresh = _with_version(row, row.version + 1)
            if connection.execute(_replace, _is(row.key, row.version) | _values(fresh)).rowcount != 1:
                raise Conflict(str(row.key))
            return fresh
        case Delete(key, version):
            statement = _delete if version is None else _delete_version
            if connection.execute(statement, _is(key, version)).rowcount != 1:
                raise Conflict(str(key))
            return None


def _is(key: Key, version: int | None) -> dict[str, Any]:
    """What the statements call the row that they are about."""
    same: dict[str, Any] = {f"its_{name}": value for name, value in _columns_of(key).items()}
    return same if version is None else same | {"its_version": version}


def _asked(query: Query) -> dict[str, Any]:
    """What the statement of a query is to be given, by name: what the query does not ask is not among it."""
    values: dict[str, Any] = {
        "kind": query.kind,
        "account": query.account,
        "region": query.region,
        "parent": query.parent,
        "statuses": None if query.statuses is None else list(query.statuses),
        "name_contains": query.name_contains,
        "name_prefix": query.name_prefix or None,
        "behind": _behind_all(query.name_prefix) if query.name_prefix else None,
        "created_after": query.created_after,
        "created_before": query.created_before,
        "updated_after": query.updated_after,
        "updated_before": query.updated_before,
        "most": query.limit,
    }
    if query.after is not None:
        values |= {f"after_{place}": value for place, value in enumerate(query.after)}
    return {name: value for name, value in values.items() if value is not None}


@cache
def _selection(asked: tuple[str, ...], sort: str, descending: bool) -> sa.Select[Any]:
    """The statement of queries that ask for these, in an order."""
    statement = sa.select(_records).where(*_conditions(asked))
    columns = [_records.c[sort], _records.c.account, _records.c.region, _records.c.name]
    if "after_0" in asked:
        seen = sa.tuple_(*columns)
        last = sa.tuple_(*(sa.bindparam(f"after_{at}", type_=each.type) for at, each in enumerate(columns)))
        statement = statement.where(seen < last if descending else seen > last)
    statement = statement.order_by(*(column.desc() if descending else column.asc() for column in columns))
    return statement.limit(sa.bindparam("most")) if "most" in asked else statement


@cache
def _counting(asked: tuple[str, ...]) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(_records).where(*_conditions(asked))


def _conditions(asked: tuple[str, ...]) -> list[sa.ColumnElement[bool]]:
    columns = _records.c
    possible = {name: columns[name] == sa.bindparam(name) for name in ("kind", "account", "region", "parent")} | {
        "statuses": columns.status.in_(sa.bindparam("statuses", expanding=True)),
        "name_contains": sa.func.instr(columns.name, sa.bindparam("name_contains")) > 0,
        "name_prefix": columns.name >= sa.bindparam("name_prefix"),
        "behind": columns.name < sa.bindparam("behind"),
        "created_after": columns.created_at >= sa.bindparam("created_after"),
        "created_before": columns.created_at <= sa.bindparam("created_before"),
        "updated_after": columns.updated_at >= sa.bindparam("updated_after"),
        "updated_before": columns.updated_at <= sa.bindparam("updated_before"),
    }
    return [condition for name, condition in possible.items() if name in asked]


def _behind_all(prefix: str) -> str | None:
    """The first text behind all that begin with `prefix`; None where nothing is."""
    kept = prefix.rstrip(_LAST_CHARACTER)
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(_BEHIND_SURROGATES if following == _FIRST_SURROGATE else following)


def _columns_of(key: Key) -> dict[str, str]:
    return {"kind": key.kind, "account": key.account, "region": key.region, "name": key.name}


def _with_version(row: Row, version: int) -> Row:
    return Row(row.key, row.body, row.schema, row.status, row.parent, row.created_at, row.updated_at, version)


def _values(row: Row) -> dict[str, Any]:
    """The columns that a write changes."""
    return {
        "parent": row.parent,
        "status": row.status,
        "updated_at": row.updated_at,
        "version": row.version,
        "schema": row.schema,
        "body": row.body,
    }


def _row(found: Any) -> Row:
    return Row(
        Key(found.kind, found.account, found.region, found.name),
        found.body,
        found.schema,
        found.status,
        found.parent,
        found.created_at,
        found.updated_at,
        found.version,
    )
