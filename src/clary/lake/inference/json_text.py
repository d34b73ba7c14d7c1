"""Files of JSON: documents one after the other, on lines or not, or one array; and the paths to the rows in them."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from clary.lake.inference.found import Found
from clary.lake.inference.scalars import columns_of_rows
from clary.lake.inference.unpacking import Head
from clary.lake.tables import JSON, Column

_SPACE = re.compile(r"[\s,]*")
_STEP = re.compile(
    r"\.(?P<name>[^.\[\]\s*]+)|\[['\"](?P<quoted>[^'\"]+)['\"]\]|\[(?P<index>\d+)\]|(?P<all>\[\*\]|\.\*)"
)
_MOST_ROWS = 100_000
_DECODER = json.JSONDecoder()

Path = tuple[str | int | None, ...]


def parse_path(text: str) -> Path:
    """The steps of a JSON path: names, places in arrays, None for all. Raises ValueError for what is no path."""
    if not text.startswith("$"):
        raise ValueError(f"{text!r} is not a JSON path: it begins with $")
    steps: list[str | int | None] = []
    place = 1
    while place < len(text):
        found = _STEP.match(text, place)
        if found is None:
            raise ValueError(
                f"{text!r} is not a JSON path that Glue knows: {text[place:]!r} begins with none of .name, ['name'], "
                "[0], [*] and .*"
            )
        name = found["name"] or found["quoted"]
        steps.append(name if name else int(found["index"]) if found["index"] else None)
        place = found.end()
    return tuple(steps)


def find_json(head: Head, path: Path | None = None) -> Found | None:
    """What a file is if it is of JSON. Without a path, a document that is an array is one column of that name."""
    text = head.data.decode("utf-8", "replace").lstrip("\ufeff")
    beginning = text.lstrip()[:1]
    if beginning not in ("{", "["):
        return None
    documents = list(_documents(text, head.whole, opened=path is not None and path[:1] == (None,)))
    if not documents:
        return None
    if path is not None:
        rows = [row for document in documents for row in _at(document, path)]
    elif all(isinstance(document, list) for document in documents):
        rows = [{"array": document} for document in documents]
    else:
        rows = documents
    if not rows or not all(isinstance(row, dict) for row in rows):
        return None
    types = columns_of_rows(rows)
    if not types:
        return None
    folded = columns_of_rows([{name.lower(): value for name, value in row.items()} for row in rows])
    return Found(
        JSON,
        tuple(Column(name, type_) for name, type_ in folded.items()),
        head.compression,
        records=len(rows) if head.whole else 0,
        record_bytes=max(len(head.data) // len(rows), 1),
        paths=tuple(sorted(types)),
    )


def _documents(text: str, whole: bool, *, opened: bool) -> Iterator[Any]:
    """The documents of a text; of one that was cut off, those that are whole.

    Of an array that was cut off its elements are given, for they are what it is `opened` for. What is no JSON where
    nothing was cut off ends them: then there are none.
    """
    place = 0
    found: list[Any] = []
    while len(found) < _MOST_ROWS and (place := _SPACE.match(text, place).end()) < len(text):  # type: ignore[union-attr]
        try:
            document, place = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            if whole:
                return
            if not found and text[place] == "[":
                elements = list(_documents(text[place + 1 :], whole, opened=False))
                found = [[element] for element in elements] if opened else [elements] if elements else []
            break
        if not isinstance(document, dict | list):
            return
        found.append(document)
    yield from found


def _at(document: Any, path: Sequence[str | int | None]) -> Iterator[Any]:
    if not path:
        yield document
        return
    step, rest = path[0], path[1:]
    if step is None:
        inner = document if isinstance(document, list) else document.values() if isinstance(document, dict) else ()
        for each in inner:
            yield from _at(each, rest)
    elif isinstance(step, int):
        if isinstance(document, list) and step < len(document):
            yield from _at(document[step], rest)
    elif isinstance(document, dict) and step in document:
        yield from _at(document[step], rest)
