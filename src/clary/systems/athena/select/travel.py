"""Time travel: as of which moment or snapshot a query reads an Iceberg table."""

import datetime

from sqlglot import exp

from clary.systems.athena.select.sessions import Session
from clary.systems.athena.select.values import fail

_UNITS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400, "WEEK": 7 * 86400}


def point(node: exp.Table, session: Session) -> tuple[float | None, int | str | None]:
    """The moment, in seconds since the epoch, and the snapshot that `FOR ... AS OF` names, as far as it names one.

    A snapshot is named by its number, or by a tag or branch.
    """
    version = node.args.get("version")
    if version is None:
        return None, None
    if str(version.args.get("kind")).upper() != "AS OF":
        fail("NOT_SUPPORTED", node, "a table is read FOR TIMESTAMP AS OF or FOR VERSION AS OF")
    if str(version.this).upper() in ("VERSION", "SYSTEM_VERSION"):
        found = version.expression
        if not isinstance(found, exp.Literal) or not (found.is_string or found.this.isdigit()):
            fail("TYPE_MISMATCH", node, "FOR VERSION AS OF takes a snapshot's number, or the name of a tag or branch")
        return None, str(found.this) if found.is_string else int(found.this)
    return _seconds(version.expression, session), None


def _seconds(node: exp.Expr, session: Session) -> float:
    if isinstance(node, exp.Paren):
        return _seconds(node.this, session)
    if isinstance(node, exp.CurrentTimestamp) or (
        isinstance(node, exp.Anonymous) and node.name.lower() in ("now", "current_timestamp")
    ):
        return session.now
    if isinstance(node, exp.Add | exp.Sub) and isinstance(node.expression, exp.Interval):
        return _seconds(node.this, session) + (1 if isinstance(node, exp.Add) else -1) * _length(node.expression)
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal):
        return _moment(str(node.this.this), node)
    fail("NOT_SUPPORTED", node, "FOR TIMESTAMP AS OF takes a timestamp literal, or the current one less an interval")


def _length(node: exp.Interval) -> float:
    unit = node.args["unit"].sql().upper().removesuffix("S")
    if unit not in _UNITS:
        fail("NOT_SUPPORTED", node, f"an interval of {unit} in AS OF is not supported")
    return float(node.this.this) * _UNITS[unit]


def _moment(said: str, node: exp.Expr) -> float:
    from zoneinfo import ZoneInfo

    words = said.split()
    moment, zone = " ".join(words[:2]), words[2] if len(words) > 2 else "UTC"
    try:
        found = datetime.datetime.fromisoformat(moment)
        if found.tzinfo is not None:
            return found.timestamp()
        if zone[:1] in "+-":
            return datetime.datetime.fromisoformat(f"{moment}{zone}").timestamp()
        return found.replace(tzinfo=ZoneInfo(zone)).timestamp()
    except (ValueError, KeyError, OSError):
        fail("INVALID_LITERAL", node, f"'{said}' is not a valid timestamp literal")
