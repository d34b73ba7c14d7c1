"""Rows as lines of texts, in SQL, with their newline: JSON, and what LazySimpleSerDe reads."""

from clary.lake import tables
from clary.lake.formats.lazy_simple import Separators
from clary.lake.formats.parts import literal
from clary.lake.formats.sinks import Shape
from clary.lake.types import Type, quoted

_NEWLINE = "chr(10)"


def line(shape: Shape) -> str:
    """The SQL of a row's line."""
    if shape.format == tables.JSON:
        fields = ", ".join(f"{literal(each.name)}: {_json(quoted(each.name), each.type)}" for each in shape.columns)
        return f"CAST(to_json({{{fields}}}) AS VARCHAR) || {_NEWLINE}"
    if shape.format == tables.OPEN_CSV:
        return (
            f"{' || chr(44) || '.join(_quoted(quoted(each.name), each.type) for each in shape.columns)} || {_NEWLINE}"
        )
    properties = {"field.delim": shape.properties.get("field_delimiter", ""), **shape.properties}
    lazy = _Lazy(Separators(properties))
    separator = f" || {literal(lazy.separators.at(0))} || "
    return f"{separator.join(lazy.or_null(quoted(each.name), each.type, 1) for each in shape.columns)} || {_NEWLINE}"


def _json(name: str, of: Type) -> str:
    """A value as `to_json` takes it: bytes in base64, as Hive writes them, and what is no number of JSON as a text."""
    if not any(kind in str(of) for kind in ("binary", "double", "float")):
        return name
    if of.name == "binary":
        return f"to_base64({name})"
    if of.name in ("double", "float"):
        return f"CASE WHEN isfinite({name}) THEN to_json({name}) ELSE to_json({_fraction(name)}) END"
    if of.name == "array":
        return f"list_transform({name}, lambda e: {_json('e', of.children[0])})"
    if of.name == "map":
        value = _json("e.value", of.children[1])
        return f"map_from_entries(list_transform(map_entries({name}), lambda e: {{k: e.key, v: {value}}}))"
    fields = ", ".join(
        f"{literal(field)}: {_json(f'{name}.{quoted(field)}', child)}"
        for field, child in zip(of.names, of.children, strict=True)
    )
    return f"CASE WHEN {name} IS NOT NULL THEN {{{fields}}} END"


def _quoted(name: str, of: Type) -> str:
    """A field of OpenCSVSerde: in quotes, with a backslash before quotes and backslashes; NULL is empty."""
    text = f"replace(replace(CAST({name} AS VARCHAR), '\\', '\\\\'), '\"', '\\\"')"
    return f"""'"' || coalesce({text}, '') || '"'"""


def _fraction(name: str) -> str:
    """The text of a fraction, with Java's names of those that are no numbers."""
    infinite = f"WHEN {name} > 0 THEN 'Infinity' WHEN {name} < 0 THEN '-Infinity'"
    return f"CASE WHEN isfinite({name}) THEN CAST({name} AS VARCHAR) WHEN isnan({name}) THEN 'NaN' {infinite} END"


class _Lazy:
    """SQL of texts of LazySimpleSerDe."""

    def __init__(self, separators: Separators) -> None:
        self.separators = separators
        self._names = 0

    def or_null(self, name: str, of: Type, level: int) -> str:
        return f"coalesce({self._text(name, of, level)}, {literal(self.separators.null)})"

    def _text(self, name: str, of: Type, level: int) -> str:
        if not of.children:
            return self._plain(name, of, level)
        self._names += 1
        one = f"e{self._names}"
        between = literal(self.separators.at(level))
        if of.name == "array":
            made = self.or_null(one, of.children[0], level + 1)
            return f"array_to_string(list_transform({name}, lambda {one}: {made}), {between})"
        if of.name == "map":
            key = self.or_null(f"{one}.key", of.children[0], level + 2)
            value = self.or_null(f"{one}.value", of.children[1], level + 2)
            pair = f"{key} || {literal(self.separators.at(level + 1))} || {value}"
            return f"array_to_string(list_transform(map_entries({name}), lambda {one}: {pair}), {between})"
        fields = [
            self.or_null(f"{name}.{quoted(field)}", child, level + 1)
            for field, child in zip(of.names, of.children, strict=True)
        ]
        return f"CASE WHEN {name} IS NOT NULL THEN {f' || {between} || '.join(fields)} END"

    def _plain(self, name: str, of: Type, level: int) -> str:
        if of.name == "binary":
            return f"to_base64({name})"
        text = _fraction(name) if of.name in ("double", "float") else f"CAST({name} AS VARCHAR)"
        if of.name not in ("string", "char", "varchar") or not self.separators.escape:
            return text
        escape = self.separators.escape
        for sign in dict.fromkeys([escape, *self.separators.levels[: level + 1]]):
            text = f"replace({text}, {literal(sign)}, {literal(escape + sign)})"
        return text
