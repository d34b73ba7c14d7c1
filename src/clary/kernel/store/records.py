"""Records as rooms use them: dataclasses in tables bound to an account and a region.

    @record("training_job", version=1)
    @dataclass(frozen=True, slots=True)
    class TrainingJob: ...

    jobs = ctx.records(TrainingJob)
    jobs.create("my-job", job, status="InProgress")

A record's fields are JSON values (dicts and lists included), spelled as on the wire where they come from it.
When a field changes its meaning, raise `version` and give `upgrades` a function from the old document to the new.
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar, cast

import orjson

from clary.kernel.core.clock import Clock
from clary.kernel.core.errors import validation
from clary.kernel.store.contract import Change, Conflict, Delete, Insert, Key, Query, Replace, Row, SortColumn, Store

T = TypeVar("T")
Document = dict[str, Any]
Scope = Literal["region", "account", "global"]

_MAX_TRIES = 50
_SCANNED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class RecordType:
    """What `@record` says about a dataclass."""

    kind: str
    version: int
    scope: Scope
    upgrades: Mapping[int, Callable[[Document], Document]]


def record(
    kind: str,
    *,
    version: int,
    scope: Scope = "region",
    upgrades: Mapping[int, Callable[[Document], Document]] | None = None,
) -> Callable[[type[T]], type[T]]:
    """Mark a dataclass as a record. `scope` says whether its names are unique in a region, an account, or at all.

    `upgrades[n]` turns a document of version n into one of version n + 1.
    """
    missing = [old for old in range(1, version) if old not in (upgrades or {})]
    if missing:
        raise TypeError(f"record {kind!r} is at version {version} but has no upgrade from {missing}")

    def mark(cls: type[T]) -> type[T]:
        if not is_dataclass(cls):
            raise TypeError(f"{cls.__name__} must be a dataclass to be a record")
        _types[cls] = RecordType(kind, version, scope, upgrades or {})
        return cls

    return mark


_types: dict[type, RecordType] = {}


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """A record with its envelope. Times are epoch seconds."""

    value: T
    name: str
    account: str
    region: str
    status: str
    parent: str
    created_at: float
    updated_at: float
    version: int


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some entries, and the token of the rest when there is more."""

    entries: list[Entry[T]]
    next_token: str | None

    def __iter__(self) -> Iterator[Entry[T]]:
        return iter(self.entries)


class Observers(Protocol):
    """Those who are told when records get another status; `changes` has them."""

    def notes(self, row: Row, was: str | None) -> Sequence[Change]: ...

    def ring(self, kind: str) -> None: ...


class Table(Generic[T]):
    """The records of one type within one account and region; without them (None), those of all.

    Writes are durable once they return. `update` rereads and retries when someone else wrote in between. A record that
    is created or gets another status is told to the observers of its kind, in the same transaction; `told` tells them
    though the status is the same. A deletion is not told.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        cls: type[T],
        account: str | None,
        region: str | None,
        observers: Observers | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._cls = cls
        self._observers = observers
        self._type = _types[cls]
        self._account = "" if self._type.scope == "global" else account
        self._region = region if self._type.scope == "region" else ""

    def within(self, account: str, region: str) -> "Table[T]":
        """The same records, of one account and region."""
        return Table(self._store, self._clock, self._cls, account, region, self._observers)

    def get(self, name: str) -> Entry[T] | None:
        found = self._store.get(self._key(name))
        return None if found is None else self._entry(found)

    def stamp(self, name: str) -> tuple[int, float, str] | None:
        """Version, time of creation and parent of a record: what differs once it was written or made anew. None when
        there is none. It costs nothing for what the record holds."""
        found = self._store.get(self._key(name))
        return None if found is None else (found.version, found.created_at, found.parent)

    def create(
        self, name: str, value: T, *, status: str = "", parent: str = "", also: Sequence[Change] = ()
    ) -> Entry[T]:
        """Add a record, together with the changes in `also`. Raises AlreadyExists when the name is taken."""
        return self._write(self.insertion(name, value, status=status, parent=parent), None, also)

    def insertion(self, name: str, value: T, *, status: str = "", parent: str = "") -> Insert:
        """The change that would add a record, to be applied together with others; observers are not told of it."""
        now = self._clock.now()
        return Insert(Row(self._key(name), orjson.dumps(value), self._type.version, status, parent, now, now, 0))

    def replace(
        self,
        entry: Entry[T],
        value: T,
        *,
        status: str | None = None,
        parent: str | None = None,
        also: Sequence[Change] = (),
        told: bool = False,
    ) -> Entry[T]:
        """Write over the version that was read, together with the changes in `also`.

        Raises Conflict when someone else wrote since.
        """
        change = self.replacement(entry, value, status=status, parent=parent)
        return self._write(change, change.row.status if told else entry.status, also, told=told)

    def replacement(
        self, entry: Entry[T], value: T, *, status: str | None = None, parent: str | None = None
    ) -> Replace:
        """The change that would write over the version that was read, to be applied together with others; observers
        are not told of it."""
        return Replace(
            Row(
                Key(self._type.kind, entry.account, entry.region, entry.name),
                orjson.dumps(value),
                self._type.version,
                entry.status if status is None else status,
                entry.parent if parent is None else parent,
                entry.created_at,
                self._clock.now(),
                entry.version,
            )
        )

    def _write(
        self, change: Insert | Replace, was: str | None, also: Sequence[Change], *, told: bool = False
    ) -> Entry[T]:
        notes = self.notes(change, was, told=told)
        written = self._entry(cast(Row, self._store.apply([change, *also, *notes])[0]))
        if notes:
            self.ring()
        return written

    def notes(self, change: Insert | Replace, was: str | None, *, told: bool = False) -> Sequence[Change]:
        """What to write together with a change so that observers of the kind are told of it; `ring` when it is done."""
        row, observers = change.row, self._observers
        return () if observers is None or (row.status == was and not told) else observers.notes(row, was)

    def ring(self) -> None:
        """Wake those who observe the kind."""
        if self._observers is not None:
            self._observers.ring(self._type.kind)

    def update(
        self,
        name: str,
        change: Callable[[T], T | None],
        *,
        status: Callable[[T], str] | None = None,
        told: bool = False,
    ) -> Entry[T] | None:
        """Change a record by a function that may run more than once; return it, or None when it is gone.

        `change` gets the stored value and returns the new one, or None to leave it. `status` derives the
        envelope's status from the new value.
        """
        for _ in range(_MAX_TRIES):
            entry = self.get(name)
            if entry is None:
                return None
            value = change(entry.value)
            if value is None:
                return entry
            try:
                return self.replace(entry, value, status=None if status is None else status(value), told=told)
            except Conflict:
                continue
        raise Conflict(f"{self._type.kind} {name!r} kept changing")

    def put(self, name: str, value: T, *, status: str = "", parent: str = "") -> Entry[T]:
        """Create the record or write over whatever is there."""
        for _ in range(_MAX_TRIES):
            entry = self.get(name)
            try:
                if entry is None:
                    return self.create(name, value, status=status, parent=parent)
                return self.replace(entry, value, status=status, parent=parent)
            except Conflict:
                continue
        raise Conflict(f"{self._type.kind} {name!r} kept changing")

    def delete(self, name: str, *, version: int | None = None, also: Sequence[Change] = ()) -> bool:
        """Remove a record, together with the changes in `also`; False when it was not there.

        With a version, or with other changes, raises Conflict unless all of it could be done.
        """
        try:
            self._store.apply([self.deletion(name, version=version), *also])
        except Conflict:
            if version is not None or also:
                raise
            return False
        return True

    def deletion(self, name: str, *, version: int | None = None) -> Delete:
        """The change that would remove a record, to be applied together with others."""
        return Delete(self._key(name), version)

    def all(self, **filters: Any) -> list[Entry[T]]:
        """Every record that matches; the filters are those of `Query`."""
        return [self._entry(row) for row in self._store.select(self._query(**filters))]

    def scan(
        self, *, after: str | None = None, wanted: Callable[[str], bool] | None = None, **filters: Any
    ) -> Iterator[Entry[T]]:
        """The records of one account and region in the order of their names, from behind the name `after` on.

        They are read as they are asked for, some at a time; those whose name is not `wanted` are not looked into.
        """
        key = self._key("")
        position = None if after is None else (after, key.account, key.region, after)
        while True:
            rows = self._store.select(self._query(after=position, limit=_SCANNED_AT_ONCE, **filters))
            yield from (self._entry(row) for row in rows if wanted is None or wanted(row.key.name))
            if len(rows) < _SCANNED_AT_ONCE:
                return
            last = rows[-1].key
            position = (last.name, last.account, last.region, last.name)

    def count(self, **filters: Any) -> int:
        return self._store.count(self._query(**filters))

    def page(
        self,
        limit: int,
        token: str | None = None,
        *,
        sort: SortColumn = "name",
        descending: bool = False,
        **filters: Any,
    ) -> Page[T]:
        """Up to `limit` records after `token`. Raises ValidationException when the token is not one of ours."""
        query = self._query(
            sort=sort, descending=descending, after=_read_token(token, sort), limit=limit + 1, **filters
        )
        rows = self._store.select(query)
        more = rows[limit:]
        entries = [self._entry(row) for row in rows[:limit]]
        return Page(entries, _token(rows[limit - 1], sort) if more else None)

    def _query(self, *, status: str | Sequence[str] | None = None, **filters: Any) -> Query:
        statuses = (status,) if isinstance(status, str) else None if status is None else tuple(status)
        return Query(self._type.kind, self._account, self._region, statuses=statuses, **filters)

    def _key(self, name: str) -> Key:
        if self._account is None or self._region is None:
            raise TypeError(f"this table of {self._type.kind} spans accounts: use within(account, region) first")
        return Key(self._type.kind, self._account, self._region, name)

    def _entry(self, row: Row) -> Entry[T]:
        return _entry(row, read_document(self._cls, orjson.loads(row.body), row.schema))


def _entry(row: Row, value: T) -> Entry[T]:
    return Entry(
        value,
        row.key.name,
        row.key.account,
        row.key.region,
        row.status,
        row.parent,
        row.created_at,
        row.updated_at,
        row.version,
    )


class Batch:
    """Writes to any tables that are to happen together or not at all. Observers are told of each, as of single ones."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changes: list[Change] = []
        self._values: dict[int, Any] = {}
        self._rings: dict[str, Callable[[], None]] = {}

    def create(self, table: Table[T], name: str, value: T, *, status: str = "", parent: str = "") -> None:
        """Add a record."""
        self._note(table, table.insertion(name, value, status=status, parent=parent), value, None)

    def replace(
        self, table: Table[T], entry: Entry[T], value: T, *, status: str | None = None, parent: str | None = None
    ) -> None:
        """Write over the version that was read."""
        self._note(table, table.replacement(entry, value, status=status, parent=parent), value, entry.status)

    def add(self, *changes: Change) -> None:
        """Changes that nobody is told of."""
        self._changes += changes

    def write(self) -> list[Entry[Any]]:
        """Do it all; return the records that were added and written over, in their order.

        Raises AlreadyExists, or Conflict when one of the versions is past; nothing has changed then.
        """
        rows = self._store.apply(self._changes) if self._changes else []
        for ring in self._rings.values():
            ring()
        return [_entry(cast(Row, rows[position]), value) for position, value in self._values.items()]

    def _note(self, table: Table[T], change: Insert | Replace, value: T, was: str | None) -> None:
        notes = table.notes(change, was)
        self._values[len(self._changes)] = value
        self._changes += [change, *notes]
        if notes:
            self._rings[table._type.kind] = table.ring


def kind_of(cls: type) -> str:
    """What records of a type are stored as."""
    return _types[cls].kind


def kinds() -> set[str]:
    """The kinds of all types of records that are imported."""
    return {type_.kind for type_ in _types.values()}


def read_document(cls: type[T], document: Document, schema: int) -> T:
    """The record in a stored document of this version of its type."""
    type_ = _types[cls]
    for version in range(schema, type_.version):
        document = type_.upgrades[version](document)
    return cls(**document)


def _token(row: Row, sort: SortColumn) -> str:
    value = row.key.name if sort == "name" else getattr(row, sort)
    return base64.urlsafe_b64encode(orjson.dumps([sort, value, row.key.account, row.key.region, row.key.name])).decode()


def _read_token(token: str | None, sort: SortColumn) -> tuple[str | float, str, str, str] | None:
    if not token:
        return None
    try:
        found = orjson.loads(base64.urlsafe_b64decode(token))
        column, value, account, region, name = found
    except (ValueError, TypeError, binascii.Error):
        raise validation(f"NextToken is not valid: {token!r}") from None
    wanted = (str, int, float) if sort.endswith("_at") else (str,)
    if (
        column != sort
        or not isinstance(value, wanted)
        or not all(isinstance(part, str) for part in (account, region, name))
    ):
        raise validation("NextToken belongs to a list with another order: send the same parameters as before")
    return value, account, region, name
