"""What conditions leave of the values of partition keys, so that no other partition need be read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlglot import exp

from clary.systems.athena.contract import Domain, StatementFailed
from clary.systems.athena.select.types import T
from clary.systems.athena.select.values import Origin, Value

if TYPE_CHECKING:
    from clary.systems.athena.select.expressions import Expressions
    from clary.systems.athena.select.queries import Cte
    from clary.systems.athena.select.scopes import Field

_TURNED = {exp.GT: exp.LT, exp.GTE: exp.LTE, exp.LT: exp.GT, exp.LTE: exp.GTE, exp.EQ: exp.EQ}
_SIDES = (exp.Column, exp.Literal, exp.Cast, exp.Neg, exp.Dot, exp.Identifier, exp.CurrentDate)
_TYPES = ("varchar", "char", "tinyint", "smallint", "integer", "bigint", "date")

_Found: TypeAlias = dict[Origin, Domain]


@dataclass(frozen=True, slots=True)
class _Constraint:
    """A domain, and the queries of WITH that the condition stands in."""

    origin: Origin
    domain: Domain
    inside: "tuple[Cte, ...]"


@dataclass(slots=True)
class Domains:
    """The domains that conditions of one query leave."""

    _found: list[_Constraint] = field(default_factory=list)

    def add(
        self,
        condition: exp.Expr,
        expressions: "Expressions",
        inside: "tuple[Cte, ...]",
        only: "Iterable[Field] | None" = None,
    ) -> None:
        """Take note of a condition that all rows meet; with `only`, of what it says of these columns."""
        allowed = None if only is None else {origin for each in only for origin in each.key}
        parts = condition.flatten() if isinstance(condition, exp.And) else [condition]
        for part in parts:
            for origin, domain in _of(part, expressions).items():
                if allowed is None or origin in allowed:
                    self._found.append(_Constraint(origin, domain, inside))

    def of(self, scan: int, types: Mapping[str, T], inside: "tuple[Cte, ...]") -> dict[str, Domain]:
        """What is left of the keys of a scan that stands in these queries of WITH.

        A condition outside such a query counts only when nothing else reads the query.
        """
        found: dict[str, Domain] = {}
        for each in self._found:
            number, name = each.origin
            if number != scan or any(cte not in each.inside and cte.readers != 1 for cte in inside):
                continue
            before = found.get(name)
            found[name] = each.domain if before is None else _both(before, each.domain, types[name])
        return found


def _of(node: exp.Expr, expressions: "Expressions") -> _Found:
    if isinstance(node, exp.Paren):
        return _of(node.this, expressions)
    if isinstance(node, exp.And):
        found: _Found = {}
        for each in node.flatten():
            for origin, domain in _of(each, expressions).items():
                found[origin] = _both(found[origin], domain, None) if origin in found else domain
        return found
    if isinstance(node, exp.Or):
        return _either([_of(each, expressions) for each in node.flatten()])
    if isinstance(node, exp.In) and node.args.get("query") is None:
        return _listed(node, expressions)
    if isinstance(node, exp.Between) and not node.args.get("symmetric"):
        low = _compared(exp.GTE, node.this, node.args["low"], expressions)
        high = _compared(exp.LTE, node.this, node.args["high"], expressions)
        return {each: _both(low[each], high[each], None) for each in low if each in high}
    if type(node) in _TURNED and isinstance(node, exp.Binary):
        found = _compared(type(node), node.this, node.expression, expressions)
        return found or _compared(_TURNED[type(node)], node.expression, node.this, expressions)
    return {}


def _value(node: exp.Expr, expressions: "Expressions") -> Value | None:
    while isinstance(node, exp.Paren):
        node = node.this
    if not isinstance(node, _SIDES):
        return None
    with expressions.queries.gathered():
        try:
            return expressions.typed(node)
        except StatementFailed:
            return None


def _compared(kind: type[exp.Expr], key: exp.Expr, other: exp.Expr, expressions: "Expressions") -> _Found:
    value, constant = _value(key, expressions), _value(other, expressions)
    if value is None or constant is None or not value.key:
        return {}
    said = _written(value.type, constant)
    if said is None:
        return {}
    if kind is exp.EQ:
        domain = Domain(values=(said,))
    elif kind in (exp.LT, exp.LTE):
        domain = Domain(high=said, high_included=kind is exp.LTE)
    else:
        domain = Domain(low=said, low_included=kind is exp.GTE)
    return dict.fromkeys(value.key, domain)


def _listed(node: exp.In, expressions: "Expressions") -> _Found:
    value = _value(node.this, expressions)
    if value is None or not value.key:
        return {}
    found = []
    for each in node.expressions:
        constant = _value(each, expressions)
        said = None if constant is None else _written(value.type, constant)
        if said is None:
            return {}
        found.append(said)
    return dict.fromkeys(value.key, Domain(values=tuple(dict.fromkeys(found))))


def _written(kind: T, constant: Value) -> str | None:
    """A constant as a partition's value is written, where it can be said."""
    said: Any = constant.constant
    if said is None or isinstance(said, bool) or kind.name not in _TYPES:
        return None
    if kind.is_text:
        return said if isinstance(said, str) and constant.type.is_text else None
    if kind.is_integer:
        return str(said) if isinstance(said, int) and constant.type.is_integer else None
    return said if isinstance(said, str) and constant.type.name == "date" else None


def _either(parts: list[_Found]) -> _Found:
    """What is left where one of several conditions holds."""
    shared = set.intersection(*(set(each) for each in parts))
    found: _Found = {}
    for origin in shared:
        lists = [each[origin].values for each in parts]
        if all(values is not None for values in lists):
            found[origin] = Domain(values=tuple(dict.fromkeys(v for values in lists for v in values or ())))
    return found


def _both(one: Domain, other: Domain, kind: T | None) -> Domain:
    """What is left where both hold; at least that."""
    if one.values is not None and other.values is not None:
        return Domain(values=tuple(each for each in one.values if each in other.values))
    if one.values is not None or other.values is not None:
        return one if one.values is not None else other
    found = one
    if one.low is None or (other.low is not None and _number(kind, other.low) > _number(kind, one.low)):
        found = replace(found, low=other.low, low_included=other.low_included)
    if one.high is None or (other.high is not None and _number(kind, other.high) < _number(kind, one.high)):
        found = replace(found, high=other.high, high_included=other.high_included)
    return found


def _number(kind: T | None, said: str) -> Any:
    if kind is None:
        return 0
    return Decimal(said) if kind.is_integer else said
