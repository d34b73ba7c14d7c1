"""Hypothesis strategies for params of an operation, within what every protocol can carry.

Empty lists, maps and structures leave no trace in some protocols, so none is made; texts keep to what XML allows.
"""

from typing import Any

from hypothesis import strategies as st

from clary.kernel.wire.models import Member, Operation, Shape

MAX_DEPTH = 4
_TEXT = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"), max_size=12
) | st.sampled_from(["", " ", "a.b", "1", "true", "a&b=c", "%2F", "+", "<x/>", '"', "a,b", "\u20ac", "\U0001f600"])
_HEADER = st.text("abcXYZ0189-_./:;=()", min_size=1, max_size=12)
_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**53), 2**53),
    "float": st.floats(allow_nan=False, width=32),
    "double": st.floats(allow_nan=False),
    "timestamp": st.integers(0, 4 * 10**9).map(float),
    "blob": st.binary(max_size=20),
}


def params(operation: Operation) -> st.SearchStrategy[dict[str, Any]]:
    """Every required member and some of the others."""
    if operation.input is None:
        return st.just({})
    return _structure(operation.input, 0, top=True)


def _structure(shape: Shape, depth: int, *, top: bool = False) -> st.SearchStrategy[dict[str, Any]]:
    made = {name: _value(use, depth + 1) for name, use in shape.members.items() if _possible(use, depth + 1)}
    required = {name: made.pop(name) for name in shape.required if name in made}
    if not required and made and not top:
        first = next(iter(made))
        required = {first: made.pop(first)}
    return st.fixed_dictionaries(required, optional=made)


def _possible(use: Member, depth: int) -> bool:
    """Whether a value that is not empty can be made this deep."""
    shape = use.shape
    if shape.document or shape.event_stream:
        return False
    if shape.type == "structure":
        return depth < MAX_DEPTH and any(_possible(part, depth + 1) for part in shape.parts)
    if shape.type in ("list", "map"):
        return depth < MAX_DEPTH and all(_possible(part, depth + 1) for part in shape.parts)
    return True


def _value(use: Member, depth: int) -> st.SearchStrategy[Any]:
    shape = use.shape
    outside = use.location in ("header", "headers", "uri", "querystring")
    if shape.type == "structure":
        return st.deferred(lambda: _structure(shape, depth))
    if shape.type == "list":
        element = _HEADER if use.location == "header" and shape.member.shape.type == "string" else None
        return st.lists(_value(shape.member, depth + 1) if element is None else element, min_size=1, max_size=3)
    if shape.type == "map":
        if outside:
            return st.dictionaries(st.text("abc-", min_size=1, max_size=5), _HEADER, min_size=1, max_size=3)
        return st.dictionaries(_value(shape.key, depth + 1), _value(shape.value, depth + 1), min_size=1, max_size=3)
    if shape.type in _SCALARS:
        return _SCALARS[shape.type]
    if use.jsonvalue and use.location == "header":
        return st.dictionaries(_TEXT, st.integers(0, 9), max_size=2)
    if use.location == "uri":
        return _TEXT.filter(lambda text: text.strip("/.") != "")
    return _HEADER if use.location == "header" else _TEXT
