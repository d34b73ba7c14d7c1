"""What a file is, as the classifiers say: first those of one's own in their order, then the built-in ones in Glue's."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clary.lake.inference import columnar
from clary.lake.inference.csv_text import csv_rules, find_csv
from clary.lake.inference.found import UNKNOWN, Found
from clary.lake.inference.json_text import find_json, parse_path
from clary.lake.inference.log_text import find_known_log, find_log
from clary.lake.inference.unpacking import Head, read_head
from clary.lake.inference.xml_text import find_xml

_FIRST_BYTES = 1 << 20
_MOST_BYTES = 10 << 20


def classify(path: Path, name: str, classifiers: Sequence[Mapping[str, Any]] = ()) -> Found:
    """What a file is, by its bytes; `name` is that of the object. `classifiers` are those of Glue's API.

    Looks at the first MiB of text, and at up to ten where that holds no row. A file that nobody knows is `UNKNOWN`.
    Raises ValueError for one that is damaged.
    """
    limit = _FIRST_BYTES
    while True:
        head = read_head(path, name, limit)
        found = next((found for found in _tried(path, head, classifiers) if found is not None), None)
        if found is not None:
            return found
        if head.whole or limit >= _MOST_BYTES:
            return Found(UNKNOWN, compression=head.compression)
        limit = min(limit * 3, _MOST_BYTES)


def _tried(path: Path, head: Head, classifiers: Sequence[Mapping[str, Any]]) -> Iterator[Found | None]:
    for classifier in classifiers:
        yield _custom(head, classifier)
    yield from (find(path) for find in _SELF_DESCRIBED)
    yield find_json(head)
    yield find_xml(head)
    yield find_known_log(head)
    yield find_csv(head)


def _custom(head: Head, classifier: Mapping[str, Any]) -> Found | None:
    if "GrokClassifier" in classifier:
        given = classifier["GrokClassifier"]
        return find_log(head, given["Classification"], given["GrokPattern"], given.get("CustomPatterns") or "")
    if "XMLClassifier" in classifier:
        given = classifier["XMLClassifier"]
        found = find_xml(head, given.get("RowTag") or "")
        return found and _named(found, given["Classification"])
    if "JsonClassifier" in classifier:
        return find_json(head, parse_path(classifier["JsonClassifier"]["JsonPath"]))
    return find_csv(head, csv_rules(classifier["CsvClassifier"]))


def _named(found: Found, classification: str) -> Found:
    from dataclasses import replace

    return replace(found, classification=classification)


def _as_value_error(find: Any) -> Any:
    """`find`, whose libraries say in many ways that a file is damaged."""

    def found(path: Path) -> Found | None:
        try:
            result: Found | None = find(path)
        except (
            ValueError,
            OSError,
            KeyError,
            TypeError,
            IndexError,
            EOFError,
            RuntimeError,
            NotImplementedError,
        ) as error:
            raise ValueError(f"it is damaged: {type(error).__name__}: {str(error)[:200]}") from None
        return result

    return found


_SELF_DESCRIBED = tuple(
    _as_value_error(find) for find in (columnar.find_avro, columnar.find_orc, columnar.find_parquet)
)
