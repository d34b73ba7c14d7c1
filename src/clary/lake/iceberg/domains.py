"""What a query leaves of the values of columns, as an expression of Iceberg that prunes files."""

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol
from uuid import UUID

from pyiceberg.expressions import (
    AlwaysFalse,
    AlwaysTrue,
    And,
    BooleanExpression,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    LessThan,
    LessThanOrEqual,
)
from pyiceberg.expressions.visitors import bind
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

_MOST_VALUES = 1000


class Domain(Protocol):
    """These values, or those between two ends, written as texts; maybe more than is asked for."""

    @property
    def values(self) -> tuple[str, ...] | None: ...
    @property
    def low(self) -> str | None: ...
    @property
    def high(self) -> str | None: ...
    @property
    def low_included(self) -> bool: ...
    @property
    def high_included(self) -> bool: ...


def expression_of(domains: Mapping[str, Domain], schema: Schema) -> BooleanExpression:
    """An expression that is true wherever the domains, by columns in lower case, leave something; maybe elsewhere."""
    by_name = {field.name.lower(): field for field in schema.fields}
    parts = [_part(by_name[name], domain, schema) for name, domain in domains.items() if name in by_name]
    return _all(parts)


def _all(parts: Sequence[BooleanExpression]) -> BooleanExpression:
    return functools.reduce(And, parts) if parts else AlwaysTrue()


def _part(column: NestedField, domain: Domain, schema: Schema) -> BooleanExpression:
    read = _READ.get(type(column.field_type))
    if read is None:
        return AlwaysTrue()
    try:
        found = _compared(column.name, domain, lambda text: read(text, column.field_type))
        bind(schema, found, case_sensitive=True)
    except (ValueError, InvalidOperation, OverflowError, TypeError):
        return AlwaysTrue()
    return found


def _compared(name: str, domain: Domain, read: Callable[[str], Any]) -> BooleanExpression:
    made: Any = In, GreaterThanOrEqual, GreaterThan, LessThanOrEqual, LessThan  # whose types know no calls by name
    any_of, at_least, above, at_most, below = made
    if domain.values is not None:
        found = {read(text) for text in domain.values}
        if not found:
            return AlwaysFalse()
        if len(found) > _MOST_VALUES:
            return And(at_least(name, min(found)), at_most(name, max(found)))
        return any_of(name, found)  # type: ignore[no-any-return]
    ends = []
    if domain.low is not None:
        ends.append((at_least if domain.low_included else above)(name, read(domain.low)))
    if domain.high is not None:
        ends.append((at_most if domain.high_included else below)(name, read(domain.high)))
    return _all(ends)


def _boolean(text: str, _: IcebergType) -> bool:
    found = {"true": True, "false": False}.get(text.lower())
    if found is None:
        raise ValueError(text)
    return found


def _integer(text: str, bits: int) -> int:
    value = int(text)
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise ValueError(text)
    return value


def _timestamp(text: str, _: IcebergType) -> str:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        raise ValueError(text)
    return moment.isoformat()


def _zoned(text: str, _: IcebergType) -> str:
    moment = datetime.fromisoformat(text.removesuffix(" UTC"))
    return moment.isoformat() if moment.tzinfo is not None else f"{moment.isoformat()}+00:00"


def _decimal(text: str, of: Any) -> Decimal:
    value = Decimal(text)
    whole = value.quantize(Decimal(1).scaleb(-of.scale))
    if whole != value:
        raise ValueError(text)
    return whole


_READ: dict[type[IcebergType], Callable[[str, IcebergType], Any]] = {
    BooleanType: _boolean,
    IntegerType: lambda text, _: _integer(text, 32),
    LongType: lambda text, _: _integer(text, 64),
    FloatType: lambda text, _: float(text),
    DoubleType: lambda text, _: float(text),
    DecimalType: _decimal,
    StringType: lambda text, _: text,
    DateType: lambda text, _: date.fromisoformat(text).isoformat(),
    TimestampType: _timestamp,
    TimestamptzType: _zoned,
    TimeType: lambda text, _: time.fromisoformat(text).isoformat(),
    UUIDType: lambda text, _: UUID(text),
}
