"""Loads rows into a database that speaks PostgreSQL's protocol, as Redshift's COPY would: all of them but few, or none.

One transaction for a load. Rows go through COPY FROM STDIN a chunk at a time, each chunk behind a savepoint: when the
server refuses a row, those before it are loaded again, and loading goes on behind it. The server is never waited for
longer than `PATIENCE_SECONDS` at a time, whatever it does.
"""

import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from threading import Timer
from typing import TYPE_CHECKING, NamedTuple

from clary.systems.firehose.destinations.addresses import Address, TableName
from clary.systems.firehose.destinations.contract import Unavailable
from clary.systems.firehose.destinations.copy_options import CopyOptions
from clary.systems.firehose.destinations.copy_rows import Column, Row
from clary.systems.firehose.destinations.warehouse_notes import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from psycopg import sql

CONNECT_SECONDS = 10
PATIENCE_SECONDS = 60.0
LOAD_FAILED = "Redshift.DataLoadFailed"
CONNECTION_FAILED = "Redshift.ConnectionFailed"

_CHUNK_ROWS = 5000
_LEAST_ROWS = 64
_REDSHIFT = "8.0.2"  # the version of PostgreSQL that Redshift says it is
_UNIQUE_VIOLATION = "23505"
# Classes of SQLSTATE that are about a row: its data, the table's constraints, a view's, a trigger's.
_ABOUT_ROWS = frozenset({"22", "23", "44", "P0"})
_LINE = re.compile(r"\bline (\d+)")
_CODES = {
    "28": "Redshift.AuthenticationFailed",
    "3D000": "Redshift.DatabaseNotFound",
    "3F000": "Redshift.SchemaNotFound",
    "42P01": "Redshift.TableNotFound",
    "42703": "Redshift.ColumnNotFound",
    "42501": "Redshift.InsufficientPrivilege",
    "25006": "Redshift.ReadOnlyCluster",
    "53100": "Redshift.DiskFull",
    "53300": "Redshift.ConnectionLimitExceeded",
    "08": CONNECTION_FAILED,
    "57P": CONNECTION_FAILED,
}
_SAID = {
    "authentication failed": "Redshift.AuthenticationFailed",
    "no password supplied": "Redshift.AuthenticationFailed",
    "does not support SSL": "Redshift.SslNotSupported",
    "too many clients": "Redshift.ConnectionLimitExceeded",
    "remaining connection slots": "Redshift.ConnectionLimitExceeded",
}
_SETTINGS = """
SET LOCAL statement_timeout = {milliseconds};
SET LOCAL idle_in_transaction_session_timeout = {milliseconds};
SET LOCAL TIME ZONE 'UTC'
"""
_TRANSACTION = """
SELECT txid_current(), (SELECT system_identifier FROM pg_control_system()),
       (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_COLUMNS = """
SELECT a.attname, t.typname, t.typcategory = 'S', CASE WHEN t.typname IN ('varchar', 'bpchar') THEN a.atttypmod END,
       a.attgenerated <> '', a.attidentity <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%%', false)
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
"""


class Refused(NamedTuple):
    """A row that was not loaded: where it begins, and why. `known` is one whose key is in the table already."""

    at: int
    message: str
    known: bool = False


class Load(NamedTuple):
    """What is loaded where. `rows` is asked for the rows once the table's columns are known.

    `note` is told the transaction, where the server can be asked about it later, and the rows left out, before the
    load is committed.
    """

    table: TableName
    columns: Sequence[str]  # empty for all that the table does not fill by itself
    options: CopyOptions
    rows: "Callable[[Sequence[Column]], Iterator[Row]]"
    note: "Callable[[Transaction, Sequence[Refused]], None]"


def run_load(address: Address, user: str, password: str, load: Load) -> list[Refused]:
    """Load, durably once returned; return the rows left out, which are fewer than MAXERROR allows.

    A row whose key is there already is left out and not counted: a load that is tried again looks like that. Raises
    Unavailable when the server cannot be reached or refuses the load, and when too many rows are refused: then nothing
    was loaded, unless the connection broke while the load was being committed.
    """
    with _errors_told(), _connection(address, user, password) as connection:
        if (connection.info.parameter_status("server_version") or "").startswith(_REDSHIFT):
            raise Unavailable(
                "Redshift.ArgumentNotSupported",
                "a Redshift cluster loads from Amazon S3 alone and cannot read Clary's; name a PostgreSQL server",
            )
        with _patient(connection):
            milliseconds = int(PATIENCE_SECONDS * 1000)
            connection.execute(_SETTINGS.format(milliseconds=milliseconds))
            columns = _columns_of(connection, load)
        refused = _Loader(connection, load, columns).run()
        with _patient(connection):
            transaction = _transaction(connection)
        if transaction is not None:
            load.note(transaction, refused)
        with _patient(connection):
            connection.commit()
        return refused


def is_committed(address: Address, user: str, password: str, transaction: Transaction) -> bool:
    """Whether a transaction was committed, as far as the server still knows.

    Raises Unavailable when the server cannot be reached, and while the transaction is not ended.
    """
    import psycopg

    with _errors_told(), _connection(address, user, password) as connection, _patient(connection):
        current = _transaction(connection)
        if current is None or current.server != transaction.server:
            return False
        try:
            found = connection.execute("SELECT txid_status(%s)", [transaction.number]).fetchone()
        except psycopg.errors.InvalidParameterValue:
            return False  # it is in the future of a server that was restored from a backup
    status = found[0] if found else None
    if status == "in progress":
        raise Unavailable(LOAD_FAILED, f"transaction {transaction.number}, in which it was loaded, is not ended yet")
    return status == "committed"


def _transaction(connection: "psycopg.Connection[tuple[object, ...]]") -> Transaction | None:
    """The transaction under way; None on servers that cannot be asked about one later."""
    import psycopg

    try:
        with connection.transaction():
            found = connection.execute(_TRANSACTION).fetchone()
    except (psycopg.ProgrammingError, psycopg.NotSupportedError):
        return None
    assert found is not None
    return Transaction(int(str(found[0])), f"{found[1]}/{found[2]}")


@contextmanager
def _errors_told() -> Iterator[None]:
    """Errors of the client library as Unavailable."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise Unavailable(_code(error), _message(error)) from error
    except UnicodeError as error:
        raise Unavailable(LOAD_FAILED, str(error)) from error


@contextmanager
def _connection(address: Address, user: str, password: str) -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
    import psycopg

    is_checked = address.tls == "verify-full" and "PGSSLROOTCERT" not in os.environ
    connection = psycopg.connect(
        host=address.host,
        port=address.port,
        dbname=address.database,
        user=user,
        password=password,
        sslmode=address.tls,
        connect_timeout=CONNECT_SECONDS,
        client_encoding="UTF8",
        application_name="firehose",
        prepare_threshold=None,
        sslrootcert="system" if is_checked else None,
    )
    try:
        yield connection
    finally:
        with _patient(connection):
            connection.close()


@contextmanager
def _patient(connection: "psycopg.Connection[tuple[object, ...]]") -> Iterator[None]:
    """Break the connection when what is inside takes too long: the client library itself waits for ever."""
    if connection.closed:
        yield
        return
    line = socket.socket(fileno=os.dup(connection.fileno()))

    def cut() -> None:
        try:
            line.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is broken already

    timer = Timer(PATIENCE_SECONDS, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        line.close()


def _columns_of(connection: "psycopg.Connection[tuple[object, ...]]", load: Load) -> list[Column]:
    """The columns that rows have values for, in order."""
    table = _identifier(load.table).as_string(connection)
    found: dict[str, Column] = {}
    plain: list[Column] = []
    for name, type_, is_text, modifier, is_generated, is_counted in connection.execute(_COLUMNS, [table]):
        length = int(str(modifier)) - 4 if modifier is not None and int(str(modifier)) >= 4 else None
        column = found[str(name)] = Column(str(name), str(type_), bool(is_text), length)
        if not is_generated and (load.options.explicit_ids or not is_counted):
            plain.append(column)
    missing = [name for name in load.columns if name not in found]
    if missing or not plain:
        raise Unavailable(
            "Redshift.ColumnNotFound", f"the table {table} has no column {', '.join(missing) or 'to fill'}"
        )
    return [found[name] for name in load.columns] or plain


def _identifier(table: TableName) -> "sql.Identifier":
    from psycopg import sql

    return sql.Identifier(*(part for part in table if part))


class _Loader:
    """One load under way, in the connection's transaction."""

    def __init__(
        self, connection: "psycopg.Connection[tuple[object, ...]]", load: Load, columns: Sequence[Column]
    ) -> None:
        from psycopg import sql

        self._connection = connection
        self._rows = load.rows(columns)
        self._most = max(load.options.max_error, 1)
        self._errors = 0
        self._refused: list[Refused] = []
        names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
        table = _identifier(load.table)
        self._copy = sql.SQL("COPY {} ({}) FROM STDIN").format(table, names)
        into = sql.SQL("{} ({})").format(table, names).as_string(connection).replace("%", "%%")
        values = ", ".join(["%s"] * len(columns))
        self._insert = f"INSERT INTO {into} VALUES ({values}) ON CONFLICT DO NOTHING".encode()

    def run(self) -> list[Refused]:
        while chunk := list(islice(self._rows, _CHUNK_ROWS)):
            good = []
            for row in chunk:
                if row.values is None:
                    self._refuse(row, row.error)
                else:
                    good.append(row)
            if good:
                self._load(good)
        return sorted(self._refused)

    def _load(self, rows: list[Row]) -> None:
        """Load rows and leave out those that the server refuses."""
        import psycopg

        waiting = [rows]
        while waiting:
            chunk = waiting.pop()
            try:
                self._try(chunk)
            except psycopg.Error as error:
                if (error.sqlstate or "")[:2] not in _ABOUT_ROWS:
                    raise
                waiting += reversed(self._without(chunk, error))

    def _without(self, chunk: list[Row], error: "psycopg.Error") -> list[list[Row]]:
        """What to load instead of a chunk that was refused: the rows around the one at fault, if that is known."""
        if len(chunk) == 1:
            self._refuse(chunk[0], _message(error))
            return []
        line = _LINE.search(error.diag.context or "")
        number = int(line[1]) - 1 if line else -1
        if not 0 <= number < len(chunk):
            half = len(chunk) // 2
            return [chunk[:half], chunk[half:]]
        # Where the next one at fault may be near, not everything behind it is sent only to be sent again.
        near = number + 1 + max(_LEAST_ROWS, 4 * number)
        parts = (chunk[:number], chunk[number : number + 1], chunk[number + 1 : near], chunk[near:])
        return [part for part in parts if part]

    def _try(self, rows: list[Row]) -> None:
        import psycopg

        try:
            with (
                _patient(self._connection),
                self._connection.transaction(),
                self._connection.cursor() as cursor,
                cursor.copy(self._copy) as copy,
            ):
                for row in rows:
                    copy.write_row(row.values or ())
        except psycopg.Error as error:
            if error.sqlstate != _UNIQUE_VIOLATION:
                raise
            self._add_new(rows)

    def _add_new(self, rows: list[Row]) -> None:
        """Insert rows one by one, and leave out those whose key is there."""
        known = []
        with _patient(self._connection), self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(self._insert, [row.values or () for row in rows], returning=True)
            for row in rows:
                if cursor.rowcount == 0:
                    known.append(Refused(row.at, "a row with its key is in the table already", known=True))
                cursor.nextset()
        self._refused += known

    def _refuse(self, row: Row, message: str) -> None:
        self._errors += 1
        if self._errors >= self._most:
            raise Unavailable(LOAD_FAILED, f"{message} ({self._errors} of at most {self._most} errors, MAXERROR)")
        self._refused.append(Refused(row.at, message))


def _code(error: "psycopg.Error") -> str:
    state = error.sqlstate or ""
    for length in (5, 3, 2):
        if state[:length] in _CODES:
            return _CODES[state[:length]]
    if state:
        return LOAD_FAILED
    said = str(error)
    if 'database "' in said and "does not exist" in said:
        return "Redshift.DatabaseNotFound"
    return next((code for words, code in _SAID.items() if words in said), CONNECTION_FAILED)


def _message(error: "psycopg.Error") -> str:
    """What the server said, in one line."""
    parts = [error.diag.message_primary or str(error), error.diag.message_detail, error.diag.context]
    return "; ".join(" ".join(part.split()) for part in parts if part)[:1000]
