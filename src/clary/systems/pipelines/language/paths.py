"""The paths of the language: `Steps.Train.ModelArtifacts.S3ModelArtifacts`, `metrics.mse['value']`, `Outputs[0].S3Uri`.

A path is read into tokens: names as text, numbers of a list's elements as int. `$` and `$.` at the start are what
JsonPath begins with. Only paths to one value are part of the language: no wildcards, slices, filters or deep scans.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

Token = str | int

_TOKEN = re.compile(
    r"""
    \.(?P<name>[^.\[\]'"*?@\s()]+)        # .Member
    | \[(?P<index>\d{1,9})\]              # [0]
    | \['(?P<single>(?:[^'\\]|\\.)*)'\]   # ['key']
    | \["(?P<double>(?:[^"\\]|\\.)*)"\]   # ["key"]
    """,
    re.VERBOSE,
)
_NAMING = ("OutputName", "InputName", "ChannelName", "MetricName", "VariantName", "Name", "Key")
MAX_TOKENS = 100


class BadPath(ValueError):
    """A text that is not a path of the language."""


class Missing(LookupError):
    """What a path leads to is not there; the text says where it ended."""


@lru_cache(maxsize=4096)
def tokens(text: str) -> tuple[Token, ...]:
    """The tokens of a path. Raises BadPath."""
    rest = text.removeprefix("$")
    if rest[:1] not in {".", "["}:
        rest = "." + rest
    found: list[Token] = []
    position = 0
    while position < len(rest):
        match = _TOKEN.match(rest, position)
        if match is None:
            raise BadPath(f"'{text}' is not a path to one value: it cannot be read from '{rest[position:][:40]}'")
        found.append(_token(match))
        position = match.end()
    if not found:
        raise BadPath(f"'{text}' is not a path to one value: it is empty")
    if len(found) > MAX_TOKENS:
        raise BadPath(f"a path of more than {MAX_TOKENS} parts")
    return tuple(found)


def _token(match: re.Match[str]) -> Token:
    if match["name"] is not None:
        return match["name"]
    if match["index"] is not None:
        return int(match["index"])
    quoted = match["single"] if match["single"] is not None else match["double"]
    return re.sub(r"\\(.)", r"\1", quoted)


def follow(value: Any, path: Sequence[Token]) -> Any:
    """What `path` leads to in `value`. Raises Missing.

    An element of a list is named by its number, or, as in `Outputs['train']`, by the member that names such elements.
    """
    at = value
    for position, token in enumerate(path):
        if isinstance(at, Mapping):
            if str(token) not in at:
                raise Missing(_missing(path[: position + 1], f"there is {_names(at)}"))
            at = at[str(token)]
        elif isinstance(at, list | tuple):
            at = _element(at, token, path[: position + 1])
        else:
            raise Missing(_missing(path[: position + 1], "a single value has no members"))
    return at


def _element(items: Sequence[Any], token: Token, path: Sequence[Token]) -> Any:
    if isinstance(token, int) or token.isdecimal():
        number = int(token)
        if number >= len(items):
            raise Missing(_missing(path, f"the list has {len(items)} elements"))
        return items[number]
    for item in items:
        if isinstance(item, Mapping) and any(item.get(name) == token for name in _NAMING):
            return item
    raise Missing(_missing(path, "no element of the list has that name"))


def _missing(path: Sequence[Token], why: str) -> str:
    return f"it has no {spelled(path)}: {why}"


def spelled(path: Sequence[Token]) -> str:
    """The path as the definition would spell it."""
    text = ""
    for token in path:
        if isinstance(token, int):
            text += f"[{token}]"
        elif re.fullmatch(r"\w+", token):
            text += f".{token}"
        else:
            text += f"['{token}']"
    return text.removeprefix(".")


def _names(members: Mapping[str, Any]) -> str:
    shown = sorted(str(name) for name in members)[:8]
    return ("only " + ", ".join(shown) + (", ..." if len(members) > len(shown) else "")) if shown else "nothing"
