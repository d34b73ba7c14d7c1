"""Columns of Arrow from values of JSON, with what does not fit told by row.

What is of the column's own type already goes to Arrow as it is, which costs little; only a column where something is
not is read value by value. Nested types are taken apart into columns of their own.
"""

import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal, InvalidOperation
from itertools import accumulate, chain, repeat
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from clary.systems.firehose.conversion.timestamps import Reader, days, nanoseconds, time_of_day

_NONE = type(None)
_TRUE, _FALSE = frozenset(("true", "1", "yes")), frozenset(("false", "0", "no"))
_PER_SECOND = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}

_EXACT = Context(prec=100)
_MOST_WHOLE_DIGITS = 20

Bad = dict[int, str]


@dataclass(frozen=True)
class Reading:
    """How JSON is read: which keys columns are found under, and what times look like.

    `keys` maps columns to other keys than their names. With `folded`, keys count in lower case; with `dotless`, a dot
    in a key is an underscore. `time` reads a timestamp as nanoseconds since 1970.
    """

    keys: dict[str, str] = field(default_factory=dict)
    folded: bool = True
    dotless: bool = False
    time: Reader = nanoseconds

    def key(self, name: str) -> str:
        """The key that a column's values are under, among keys as `plain` leaves them."""
        return self._normal(self.keys.get(name, name))

    def plain(self, objects: Sequence[Any]) -> list[Any]:
        """Objects with their keys as they count; those that need nothing as they are."""
        if not self.folded and not self.dotless:
            return list(objects)
        normal: dict[str, str] = {}
        good: set[str] = set()
        found = []
        for each in objects:
            if not each or good.issuperset(each):
                found.append(each)
                continue
            for key in each:
                if key not in normal:
                    normal[key] = self._normal(key)
                    if normal[key] == key:
                        good.add(key)
            found.append(each if good.issuperset(each) else {normal[key]: value for key, value in each.items()})
        return found

    def _normal(self, key: str) -> str:
        key = key.lower() if self.folded else key
        return key.replace(".", "_") if self.dotless else key


def columns_of(objects: Sequence[Any], fields: Sequence[Any], reading: Reading) -> tuple[list[Any], Bad]:
    """A column for each field of an Arrow schema from objects or None, and why which of them do not fit."""
    plain, bad, columns = reading.plain(objects), Bad(), []
    for each in fields:
        key = reading.key(each.name)
        values = [None if one is None else one.get(key) for one in plain]
        column, unfit = column_of(values, each.type, reading)
        for row, reason in unfit.items():
            bad.setdefault(row, f"{each.name}: {reason}")
        if not each.nullable and column.null_count:
            for row in range(len(values)):
                if values[row] is None and plain[row] is not None:
                    bad.setdefault(row, f"{each.name} is required and has no value")
        columns.append(column)
    return columns, bad


def column_of(values: list[Any], type_: Any, reading: Reading) -> tuple[Any, Bad]:
    """The values as an array of a type; None where one does not fit, and why."""
    if pa.types.is_struct(type_):
        return _structs(values, type_, reading)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return _lists(values, type_, reading)
    if pa.types.is_map(type_):
        return _maps(values, type_, reading)
    if type_ == pa.uuid():
        stored, bad = _slow(values, type_.storage_type, _uuid)
        return pa.ExtensionArray.from_storage(type_, stored), bad
    kinds = set(map(type, values)) - {_NONE}
    quick = _quick(values, kinds, type_, reading)
    if quick is not None:
        return quick, {}
    return _slow(values, type_, _reader(type_, reading))


def _quick(values: list[Any], kinds: set[type], type_: Any, reading: Reading) -> Any:
    """The array where Arrow alone can make it, exactly; None where it cannot."""
    if pa.types.is_timestamp(type_):
        return _quick_times(values, type_) if kinds == {str} and reading.time is nanoseconds else None
    if pa.types.is_integer(type_):
        exact = kinds <= {int}
    elif pa.types.is_floating(type_):
        exact = kinds <= {int, float}
    elif pa.types.is_boolean(type_):
        exact = kinds <= {bool}
    elif pa.types.is_string(type_) or pa.types.is_large_string(type_):
        exact = kinds <= {str}
    else:
        exact = not kinds
    try:
        found = pa.array(values, type_) if exact else None
    except (pa.ArrowException, OverflowError, UnicodeError):
        return None
    too_large = found is not None and type_ == pa.float32() and pc.any(pc.is_inf(found)).as_py()
    return None if too_large else found


def _quick_times(values: list[Any], type_: Any) -> Any:
    """Times in one of Arrow's notations, all with Z at their end or none."""
    zoned = sum(value[-1:] == "Z" for value in values if value is not None)
    if zoned and zoned < len(values) - values.count(None):
        return None
    try:
        if zoned:
            return pa.array(values, pa.string()).cast(pa.timestamp(type_.unit, "UTC")).cast(type_)
        return pa.array(values, pa.string()).cast(pa.timestamp(type_.unit)).cast(type_)
    except pa.ArrowException:
        return None


def _slow(values: list[Any], type_: Any, read: Callable[[Any], Any]) -> tuple[Any, Bad]:
    bad, found = Bad(), []
    for row, value in enumerate(values):
        try:
            found.append(None if value is None else read(value))
        except (ValueError, InvalidOperation, OverflowError) as error:
            bad[row] = str(error) if isinstance(error, ValueError) else f"{_shown(value)} is no {type_}"
            found.append(None)
    try:
        return pa.array(found, type_), bad
    except (pa.ArrowException, OverflowError, UnicodeError):
        return _one_by_one(found, type_, bad)


def _one_by_one(values: list[Any], type_: Any, bad: Bad) -> tuple[Any, Bad]:
    """Arrow's own refusals, by row."""
    for row, value in enumerate(values):
        try:
            pa.array([value], type_)
        except (pa.ArrowException, OverflowError, UnicodeError):
            bad[row] = f"{_shown(value)} does not fit into {type_}"
            values[row] = None
    return pa.array(values, type_), bad


def _structs(values: list[Any], type_: Any, reading: Reading) -> tuple[Any, Bad]:
    values, bad = _of_kind(values, dict, type_)
    columns, unfit = columns_of(values, list(type_), reading)
    absent = pa.array([value is None for value in values], pa.bool_())
    return pa.StructArray.from_arrays(columns, fields=list(type_), mask=absent), unfit | bad


def _lists(values: list[Any], type_: Any, reading: Reading) -> tuple[Any, Bad]:
    values, bad = _of_kind(values, list, type_)
    child, unfit = column_of(list(chain.from_iterable(filter(None, values))), type_.value_type, reading)
    if not type_.value_field.nullable and child.null_count:
        unfit = _without_null(chain.from_iterable(filter(None, values)), unfit)
    made = pa.LargeListArray if pa.types.is_large_list(type_) else pa.ListArray
    array = made.from_arrays(_offsets(values, large=made is pa.LargeListArray), child)
    return array.cast(type_), _by_owner(values, unfit) | bad


def _maps(values: list[Any], type_: Any, reading: Reading) -> tuple[Any, Bad]:
    values, bad = _of_kind(values, dict, type_)
    keys, unfit = column_of(list(chain.from_iterable(filter(None, values))), type_.key_type, reading)
    items, more = column_of(
        list(chain.from_iterable(value.values() for value in values if value)), type_.item_type, reading
    )
    if unfit:  # a map has no NULL among its keys: leave out the maps that would
        bad |= _by_owner(values, unfit)
        kept = [None if row in bad else value for row, value in enumerate(values)]
        array, again = _maps(kept, type_, reading)
        return array, again | bad
    if not type_.item_field.nullable and items.null_count:
        more = _without_null(chain.from_iterable(value.values() for value in values if value), more)
    array = pa.MapArray.from_arrays(_offsets(values), keys, items)
    return array.cast(type_), _by_owner(values, more) | bad


def _of_kind(values: list[Any], kind: type, type_: Any) -> tuple[list[Any], Bad]:
    if set(map(type, values)) <= {kind, _NONE}:
        return values, {}
    bad = {
        row: f"{_shown(value)} is no {type_}"
        for row, value in enumerate(values)
        if value is not None and not isinstance(value, kind)
    }
    return [None if row in bad else value for row, value in enumerate(values)], bad


def _offsets(values: list[Any], *, large: bool = False) -> Any:
    """Where each value's members begin among all members; NULL for a value that is."""
    starts = list(accumulate((len(value) if value else 0 for value in values), initial=0))
    marked = [None if value is None else start for value, start in zip(values, starts[:-1], strict=True)]
    return pa.array([*marked, starts[-1]], pa.int64() if large else pa.int32())


def _without_null(members: Iterable[Any], bad: Bad) -> Bad:
    """Reasons by member where none may be NULL."""
    return {member: "a member has no value" for member, value in enumerate(members) if value is None} | bad


def _by_owner(values: list[Any], bad: Bad) -> Bad:
    """Reasons by member as reasons by the value that holds it."""
    if not bad:
        return {}
    owners = list(chain.from_iterable(repeat(row, len(value)) for row, value in enumerate(values) if value))
    found = Bad()
    for member, reason in bad.items():
        found.setdefault(owners[member], reason)
    return found


def _reader(type_: Any, reading: Reading) -> Callable[[Any], Any]:
    """What reads a single value as a type of Arrow. It raises ValueError, InvalidOperation or OverflowError."""
    if pa.types.is_timestamp(type_):
        per_second = _PER_SECOND[type_.unit]
        return lambda value: reading.time(value) * per_second // _PER_SECOND["ns"]
    if pa.types.is_integer(type_):
        return _integer
    if pa.types.is_floating(type_):
        return _single if type_ == pa.float32() else _double
    if pa.types.is_decimal(type_):
        return lambda value: _decimal(value, type_.precision, type_.scale)
    if pa.types.is_boolean(type_):
        return _boolean
    if pa.types.is_date(type_):
        return days
    if pa.types.is_time(type_):
        return lambda value: time_of_day(value) * _PER_SECOND[type_.unit] // _PER_SECOND["ns"]
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return _text
    if pa.types.is_binary(type_) or pa.types.is_large_binary(type_) or pa.types.is_fixed_size_binary(type_):
        return lambda value: _text(value).encode()
    raise ValueError(f"values of type {type_} are not written by Clary")


def _integer(value: Any) -> int:
    if isinstance(value, str):
        value = Decimal(value.strip())
    elif isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(f"{_shown(value)} is no whole number")
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() > _MOST_WHOLE_DIGITS:
        raise ValueError(f"{_shown(value)} is larger than whole numbers can be")
    if value != int(value):
        raise ValueError(f"{_shown(value)} is no whole number")
    return int(value)


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise ValueError(f"{_shown(value)} is no number")
    return float(value)


def _single(value: Any) -> float:
    found = _double(value)
    if abs(found) > 3.4028235e38 and abs(found) != float("inf"):
        raise ValueError(f"{_shown(value)} does not fit into a float")
    return found


def _decimal(value: Any, precision: int, scale: int) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise ValueError(f"{_shown(value)} is no number")
    found = Decimal(str(value).strip())
    if not found.is_finite() or (found and found.adjusted() >= precision - scale):
        raise ValueError(f"{_shown(value)} does not fit into decimal({precision},{scale})")
    kept = found.quantize(Decimal(1).scaleb(-scale), context=_EXACT)
    if kept != found:
        raise ValueError(f"{_shown(value)} has more than {scale} digits behind the point")
    return kept


def _uuid(value: Any) -> bytes:
    return uuid.UUID(_text(value)).bytes


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if isinstance(value, str | int) and text in _TRUE | _FALSE:
        return text in _TRUE
    raise ValueError(f"{_shown(value)} is neither true nor false")


def _text(value: Any) -> str:
    """Text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return str(value)
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # numbers beyond 64 bits, those that are kept exactly, and what is nested deeply
        try:
            return json.dumps(value, default=str, separators=(",", ":"))
        except RecursionError:
            raise ValueError("it is nested too deeply") from None


def _shown(value: Any) -> str:
    try:
        text = _text(value) if not isinstance(value, str) else repr(value)
    except ValueError as error:
        return f"a {type(value).__name__} ({error})"
    return text if len(text) <= 64 else text[:61] + "..."
