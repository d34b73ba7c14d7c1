"""Files of XML: the elements that are their rows, and the columns that children and attributes of those are."""

from collections import Counter
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from clary.lake.inference.found import Found
from clary.lake.inference.merging import BIGINT, STRING
from clary.lake.inference.scalars import columns_of_rows, type_of_text
from clary.lake.inference.unpacking import Head
from clary.lake.tables import Column

_MOST_ROWS = 10_000
_DEEPEST = 24


def find_xml(head: Head, row_tag: str = "") -> Found | None:
    """What a file is if it is of XML that holds elements of this tag; without one, of what its root holds most of."""
    data = head.data.lstrip(b"\xef\xbb\xbf \t\r\n")
    # Entities of one's own can make a little text very much; rows of data need none.
    if not data.startswith(b"<") or b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        return None
    tag = row_tag or _commonest(data, head.whole)
    if not tag:
        return None
    rows = [_value(element, 0) for element in _elements(data, head.whole, tag)]
    rows = [row for row in rows if isinstance(row, dict) and row]
    if not rows:
        return None
    folded = columns_of_rows([{name.lower(): value for name, value in row.items()} for row in rows])
    return Found(
        "xml",
        tuple(Column(name, type_) for name, type_ in folded.items()),
        head.compression,
        serde={"rowTag": tag},
        properties={"rowTag": tag},
        records=len(rows) if head.whole else 0,
        record_bytes=max(len(head.data) // len(rows), 1),
    )


def _events(data: bytes, whole: bool) -> Iterator[tuple[str, Element]]:
    """The starts and ends of elements, as far as they are there. What is no XML where it is whole has none."""
    parser: XMLPullParser[Any] = XMLPullParser(("start", "end"))
    try:
        parser.feed(data)
        if whole:
            parser.close()
    except ParseError:
        if whole:
            return
    try:
        yield from parser.read_events()  # type: ignore[misc]
    except ParseError:
        return


def _commonest(data: bytes, whole: bool) -> str:
    """The tag that most children of the root have."""
    depth, tags = 0, Counter[str]()
    for event, element in _events(data, whole):
        depth += 1 if event == "start" else -1
        if event == "start" and depth == 2:
            tags[element.tag] += 1
    return max(tags, key=lambda tag: tags[tag], default="")


def _elements(data: bytes, whole: bool, tag: str) -> Iterator[Element]:
    count = 0
    for event, element in _events(data, whole):
        if event == "end" and element.tag == tag:
            yield element
            count += 1
            if count >= _MOST_ROWS:
                return


def _value(element: Element, depth: int) -> Any:
    """An element as JSON has values: a text, or what its attributes and children are, those of one tag a list."""
    if depth > _DEEPEST:
        return element.text
    found: dict[str, Any] = {f"_{name}": _scalar(text) for name, text in element.attrib.items()}
    for child in element:
        name, value = child.tag.rpartition("}")[2], _value(child, depth + 1)
        if name in found:
            known = found[name]
            found[name] = [*known, value] if isinstance(known, list) else [known, value]
        else:
            found[name] = value
    text = (element.text or "").strip()
    if not found:
        return _scalar(text)
    return found | ({"_value": _scalar(text)} if text else {})


def _scalar(text: str) -> Any:
    type_ = type_of_text(text)
    if type_ is None:
        return None
    if type_ == BIGINT:
        return int(text)
    return text if type_ == STRING else float(text) if type_.name == "double" else text.strip().lower() == "true"
