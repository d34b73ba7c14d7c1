"""DataProcessing: what of a record goes to the model, what is joined to its answer, and what of that is stored.

A row of CSV counts as an array of its fields, which keep their text. Documents of JSON are joined as members
`SageMakerInput` (the input itself when it is an object) and `SageMakerOutput`.
"""

import json
import re
import uuid
from collections.abc import Sequence
from typing import Any, Protocol

from clary.runtime.errors import CustomerError
from clary.runtime.formats import content_types
from clary.runtime.transform.jsonpath import Path
from clary.runtime.transform.rows import picker

INPUT = "SageMakerInput"
OUTPUT = "SageMakerOutput"
INFERENCE_ID = "SageMakerInferenceId"
TIME = "SageMakerInferenceTime"

_FIELD = re.compile(rb'(?:"(?:[^"]|"")*"[^,]*|[^,]*)(?:,|$)')


class Format(Protocol):
    """How the records of a payload are told apart, read, joined and written."""

    def records(self, body: bytes) -> list[bytes]: ...

    def read(self, record: bytes) -> Any:
        """The record as a value that a path applies to. Raises ValueError."""

    def write(self, value: Any) -> bytes: ...

    def join(self, source: Any, answer: Any) -> Any: ...

    def identify(self, value: Any, inference_id: str, time: str) -> Any:
        """The value with what tells it from all others."""

    def assemble(self, records: Sequence[bytes]) -> bytes:
        """Records as a payload."""


class Csv:
    """One row a line."""

    def records(self, body: bytes) -> list[bytes]:
        return _lines(body)

    def read(self, record: bytes) -> list[bytes]:
        if b'"' not in record:
            return record.split(b",")
        fields = []
        position = 0
        while True:
            found = _FIELD.match(record, position)
            assert found is not None
            text, position = found.group(), found.end()
            fields.append(text.removesuffix(b","))
            if not text.endswith(b",") or (position == len(record) and text.endswith(b'"')):
                return fields

    def write(self, value: Any) -> bytes:
        return b",".join(value) if isinstance(value, list) else bytes(value)

    def join(self, source: list[bytes], answer: list[bytes]) -> list[bytes]:
        return source + answer

    def identify(self, value: Any, inference_id: str, time: str) -> list[bytes]:
        return [*(value if isinstance(value, list) else [value]), inference_id.encode(), time.encode()]

    def assemble(self, records: Sequence[bytes]) -> bytes:
        return b"\n".join(records)


class JsonLines:
    """One document a line."""

    def records(self, body: bytes) -> list[bytes]:
        return _lines(body)

    def read(self, record: bytes) -> Any:
        return json.loads(record)

    def write(self, value: Any) -> bytes:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()

    def join(self, source: Any, answer: Any) -> Any:
        return {**(source if isinstance(source, dict) else {INPUT: source}), OUTPUT: answer}

    def identify(self, value: Any, inference_id: str, time: str) -> dict[str, Any]:
        return {**(value if isinstance(value, dict) else {OUTPUT: value}), INFERENCE_ID: inference_id, TIME: time}

    def assemble(self, records: Sequence[bytes]) -> bytes:
        return b"\n".join(records)


class JsonDocument(JsonLines):
    """The whole payload is one document."""

    def records(self, body: bytes) -> list[bytes]:
        return [body]


class Processing:
    """Filters and joins the payloads of one job.

    `input_format` and `output_format` are None where neither a filter nor a join needs to understand the payload. With
    an `inference_time`, every record that is stored gets an id of its own and that time.
    """

    def __init__(
        self,
        *,
        input_filter: str = "$",
        output_filter: str = "$",
        join: bool = False,
        input_format: Format | None = None,
        output_format: Format | None = None,
        inference_time: str = "",
    ) -> None:
        self._input_filter = Path(input_filter)
        self._output_filter = Path(output_filter)
        self._join = join
        self._input = input_format
        self._output = output_format
        self._time = inference_time
        self._as_answered = not join and self._output_filter.is_whole and not inference_time
        if input_format is None and (join or not self._input_filter.is_whole):
            raise CustomerError("filters and joins need a ContentType of text/csv, application/json or jsonlines")
        if output_format is None and not self._as_answered:
            raise CustomerError(
                "filters, joins and inference ids need an Accept of text/csv, application/json or jsonlines"
            )

    def request(self, body: bytes) -> bytes:
        """What of a payload goes to the model. Raises CustomerError."""
        if self._input is None or self._input_filter.is_whole:
            return body
        if isinstance(self._input, Csv) and b'"' not in body:
            return b"\n".join(list(map(picker(self._input_filter), _lines(body))))
        records = [
            self._input.write(self._input_filter.select(value)) for value in _read(self._input, body, "the input")
        ]
        return self._input.assemble(records)

    def result(self, body: bytes, answer: bytes) -> bytes:
        """What of a payload's `answer` is stored, joined to the payload if that was asked for. Raises CustomerError."""
        if self._output is None or self._as_answered:
            return answer
        if isinstance(self._output, Csv) and b'"' not in answer and not (self._join and b'"' in body):
            return self._plain_rows(body, answer)
        values = _read(self._output, answer, "the model's answer")
        if self._join:
            assert self._input is not None
            sources = _read(self._input, body, "the input")
            _check_counts(sources, values)
            values = [self._output.join(source, value) for source, value in zip(sources, values, strict=True)]
        stored = [self._output_filter.select(value) for value in values]
        if self._time:
            stored = [self._output.identify(value, str(uuid.uuid4()), self._time) for value in stored]
        return b"".join(self._output.write(value) + b"\n" for value in stored)

    def _plain_rows(self, body: bytes, answer: bytes) -> bytes:
        """The same for CSV without quotes, where a joined row is the text of both."""
        rows = _lines(answer)
        if self._join:
            sources = _lines(body)
            _check_counts(sources, rows)
            rows = [b"%b,%b" % pair for pair in zip(sources, rows, strict=True)]
        pick = picker(self._output_filter)
        if self._time:
            time = self._time.encode()
            return b"".join([b"%b,%b,%b\n" % (pick(row), str(uuid.uuid4()).encode(), time) for row in rows])
        return b"".join([pick(row) + b"\n" for row in rows])


def _check_counts(sources: Sequence[Any], values: Sequence[Any]) -> None:
    if len(sources) != len(values):
        raise CustomerError(
            f"the model answered {len(values)} records for {len(sources)}: they cannot be joined. "
            "Its answer must have one line for each record; or use BatchStrategy SingleRecord"
        )


def format_of(content_type: str, *, split: bool, single: bool = False) -> Format | None:
    """The format that a content type names; None for one that filters and joins do not know.

    JSON is one document for each payload unless the object is split, and lines of documents when it is; the answer to a
    payload of one record is one document too.
    """
    canonical = content_types.canonical(content_type)
    if canonical == content_types.CSV:
        return Csv()
    if canonical == content_types.JSONLINES:
        return JsonLines()
    if canonical == content_types.JSON:
        return JsonLines() if split and not single else JsonDocument()
    return None


def _lines(body: bytes) -> list[bytes]:
    return [line for line in body.replace(b"\r\n", b"\n").split(b"\n") if line and not line.isspace()]


def _read(form: Format, body: bytes, what: str) -> list[Any]:
    values = []
    for number, record in enumerate(form.records(body), start=1):
        try:
            values.append(form.read(record))
        except ValueError as error:
            where = f", record {number}" if number > 1 else ""
            raise CustomerError(f"{what}{where} is not JSON: {error}") from None
    return values
