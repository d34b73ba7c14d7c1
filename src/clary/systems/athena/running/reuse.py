"""Earlier results that do: of the same query in the same work group, not older than the client accepts.

Source: "Reuse query results" of the user guide. The results are those of the earlier query, where they lie: whoever
asks must be allowed to read them there.
"""

from collections.abc import Iterator
from dataclasses import replace

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.systems.athena.contract import DML
from clary.systems.athena.records import SUCCEEDED, QueryExecution
from clary.systems.athena.running.access import Access

_AT_ONCE = 200
_MOST = 5000
_SAME = ("QueryString", "QueryExecutionContext", "ExecutionParameters")
_WITH_ROWS = frozenset({"SELECT", "EXECUTE"})
_DEFAULT_MINUTES = 60


def earlier(platform: Platform, entry: Entry[QueryExecution], access: Access) -> QueryExecution | None:
    """The query as ended by an earlier one's results; None where it must run."""
    asked = entry.value.request["ResultReuseConfiguration"].get("ResultReuseByAgeConfiguration") or {}
    if not asked.get("Enabled") or entry.value.kind != DML:
        return None
    minutes = asked.get("MaxAgeInMinutes")
    since = platform.clock.now() - 60.0 * (_DEFAULT_MINUTES if minutes is None else minutes)
    for other in _ended(platform, entry, since):
        if _serves(entry.value, other.value, since) and _is_there(access, other.value.location):
            past = other.value
            return replace(
                entry.value,
                kind=past.kind,
                substatement=past.substatement,
                columns=past.columns,
                location=past.location,
                update_count=past.update_count,
                rows=past.rows,
                reused=True,
            )
    return None


def _ended(platform: Platform, entry: Entry[QueryExecution], since: float) -> Iterator[Entry[QueryExecution]]:
    """The work group's queries that succeeded since then, the newest first; of very many, the newest alone."""
    table = platform.records(QueryExecution).within(entry.account, entry.region)
    token = None
    for _ in range(_MOST // _AT_ONCE):
        page = table.page(
            _AT_ONCE, token, sort="updated_at", descending=True, parent=entry.parent, status=SUCCEEDED,
            updated_after=since,
        )  # fmt: skip
        yield from page
        token = page.next_token
        if token is None:
            return


def _serves(asked: QueryExecution, past: QueryExecution, since: float) -> bool:
    same = all(asked.request[name] == past.request[name] for name in _SAME)
    encrypted = asked.settings.get("EncryptionConfiguration") == past.settings.get("EncryptionConfiguration")
    # What was reused is as old as the query that it is of, which may be reused itself.
    fresh = past.completed >= since and not past.reused
    return same and encrypted and fresh and past.substatement in _WITH_ROWS and past.columns is not None


def _is_there(access: Access, uri: str) -> bool:
    """Whether the caller may read the results, and they are there."""
    try:
        access.read(uri)
    except AwsError:
        return False
    return True
