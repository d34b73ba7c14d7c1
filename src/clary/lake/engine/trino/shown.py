"""SQL of the text that a value of one of Trino's types is shown as in Athena's results."""

from clary.lake.types import field_names

_PLAIN = ("boolean", "tinyint", "smallint", "integer", "bigint", "date", "uuid", "decimal")


def shown(sql: str, kind: str) -> str:
    """SQL of a value's text, from SQL of the value and its type as Trino writes it."""
    return _text(sql, parsed(kind), nested=False, depth=0)


def _text(sql: str, kind: "Shown", *, nested: bool, depth: int) -> str:
    name = kind.name
    if name == "unknown":
        return "CAST(NULL AS VARCHAR)"
    if name in ("varchar", "char", "json"):
        return sql
    if name in ("double", "real"):
        return f"trino_{name}_text({sql})"
    if name == "timestamp":
        call = "trino_zoned_text" if kind.zoned else "trino_timestamp_text"
        return f"{call}({sql}, {kind.number})"
    if name == "time":
        return f"trino_time_text({sql}, {kind.number})"
    if name == "interval day to second":
        return f"trino_day_second_text({sql})"
    if name == "interval year to month":
        return f"trino_year_month_text({sql})"
    if name == "varbinary":
        return f"trino_binary_text({sql})"
    if name == "ipaddress":
        return f"trino_ip_text({sql})"
    if name == "array":
        item = f"i{depth}"
        inner = _inner(item, kind.children[0], depth)
        return f"'[' || array_to_string(list_transform({sql}, lambda {item}: {inner}), ', ') || ']'"
    if name == "map":
        item = f"i{depth}"
        key, value = (
            _inner(f"{item}.{part}", child, depth) for part, child in zip(("key", "value"), kind.children, strict=True)
        )
        entries = f"list_transform(map_entries({sql}), lambda {item}: {key} || '=' || {value})"
        return f"'{{' || array_to_string({entries}, ', ') || '}}'"
    if name == "row":
        item = f"i{depth}"
        parts: list[str] = []
        for field, label, child in zip(kind.fields(), kind.names, kind.children, strict=True):
            text = field.replace("'", "''")
            said = (label or f"field{len(parts)}").replace("'", "''")
            value = _inner(f"struct_extract({item}, '{text}')", child, depth)
            parts.append(f"'{said}=' || {value}")
        joined = " || ', ' || ".join(parts)
        whole = f"CASE WHEN {item} IS NULL THEN NULL ELSE '{{' || {joined} || '}}' END"
        return f"list_transform([{sql}], lambda {item}: {whole})[1]"
    if name == "decimal" and kind.number == kind.scale:
        return f"trino_fraction_text({sql})"
    return f"CAST({sql} AS VARCHAR)"


def _inner(sql: str, kind: "Shown", depth: int) -> str:
    return f"coalesce({_text(sql, kind, nested=True, depth=depth + 1)}, 'null')"


class Shown:
    """A type as far as showing its values needs it."""

    __slots__ = ("children", "name", "names", "number", "scale", "zoned")

    def __init__(self, name: str, number: int = 0, scale: int = -1, *, zoned: bool = False,
                 children: "tuple[Shown, ...]" = (), names: tuple[str | None, ...] = ()) -> None:  # fmt: skip
        self.name = name
        self.number = number
        self.scale = scale
        self.zoned = zoned
        self.children = children
        self.names = names

    def fields(self) -> list[str]:
        """The names of a row's fields in DuckDB."""
        return field_names(self.names)


def parsed(written: str) -> Shown:
    """A type as Trino writes it. Raises ValueError for a text that is none."""
    found, rest = _parsed(written)
    if rest.strip():
        raise ValueError(f"{rest!r} follows a type that is complete in {written!r}")
    return found


def _parsed(written: str) -> tuple[Shown, str]:
    for name in ("interval day to second", "interval year to month"):
        if written.startswith(name):
            return Shown(name), written[len(name) :]
    end = 0
    while end < len(written) and (written[end].isalnum() or written[end] == "_"):
        end += 1
    name, rest = written[:end], written[end:]
    if not name:
        raise ValueError(f"a type is missing at {written!r}")
    if name == "row":
        return _row(rest)
    if name in ("array", "map"):
        children = []
        rest = rest.removeprefix("(")
        while not rest.startswith(")"):
            child, rest = _parsed(rest)
            children.append(child)
            rest = rest.removeprefix(",").lstrip()
        return Shown(name, children=tuple(children)), rest[1:]
    number, scale = 3 if name in ("timestamp", "time") else 0, -1
    if rest.startswith("("):
        inside, _, rest = rest[1:].partition(")")
        number, scale = (*map(int, inside.split(",")), 0)[:2]
    zoned = rest.startswith(" with time zone")
    return Shown(name, number, scale, zoned=zoned), rest.removeprefix(" with time zone")


def _row(rest: str) -> tuple[Shown, str]:
    children: list[Shown] = []
    names: list[str | None] = []
    rest = rest.removeprefix("(")
    while not rest.startswith(")"):
        name, rest = _field_name(rest)
        child, rest = _parsed(rest)
        names.append(name)
        children.append(child)
        rest = rest.removeprefix(",").lstrip()
    return Shown("row", children=tuple(children), names=tuple(names)), rest[1:]


def _field_name(rest: str) -> tuple[str | None, str]:
    if rest.startswith('"'):
        end = rest.index('"', 1)
        while rest[end + 1 : end + 2] == '"':
            end = rest.index('"', end + 2)
        return rest[1:end].replace('""', '"'), rest[end + 1 :].lstrip()
    word, space, after = rest.partition(" ")
    if not space or not word.replace("_", "a").isalnum() or word == "interval" or after.startswith("with time zone"):
        return None, rest
    return word, after
