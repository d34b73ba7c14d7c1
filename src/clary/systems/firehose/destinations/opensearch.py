"""OpenSearch, and Elasticsearch as far as it takes the same requests: each record is a document, sent by `_bulk`.

With FIREHOSE_DEFAULT, a document's id is its record's, so that one that is delivered again replaces itself. What a
server answered about a record is kept while the rest of its batch is tried again.
"""

import importlib.util
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import orjson

from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.systems.firehose.configurations import HIDDEN, without_password
from clary.systems.firehose.destinations.contract import Failure, Record, Unavailable
from clary.systems.firehose.records import DeliveryStream
from clary.systems.firehose.refusals import invalid

_ROTATIONS = {"NoRotation": "", "OneHour": "-%Y-%m-%d-%H", "OneDay": "-%Y-%m-%d", "OneMonth": "-%Y-%m"}

_ELASTICSEARCH = "ElasticsearchDestinationConfiguration"
_REQUEST_BYTES = 10 * 1024 * 1024  # what the smallest of AWS's domains take in one request
_LEAST_REQUEST_BYTES = 64 * 1024
_REQUEST_SECONDS = 60
_PATH = "/_bulk?filter_path=items.*.status,items.*.error,error"
_NEVER_IN_INDEX = frozenset(' "*\\<|,>/?#:')
_NOT_JSON = "mapper_parsing_exception"


def check(configuration: Mapping[str, Any]) -> None:
    """Raise InvalidArgumentException for what cannot be honoured."""
    if configuration.get("DomainARN"):
        raise invalid(
            "DomainARN is not supported by Clary, which has no domains: give the URL of an OpenSearch server as "
            "ClusterEndpoint."
        )
    if configuration.get("VpcConfiguration"):
        raise invalid(
            "VpcConfiguration is not supported by Clary, which has no VPCs: it reaches what this machine does."
        )
    _endpoint(str(configuration.get("ClusterEndpoint") or ""))
    index = str(configuration["IndexName"])
    if index != index.lower() or index[0] in "_-+." or set(index) & _NEVER_IN_INDEX or not index.isprintable():
        raise invalid(
            f"IndexName {index!r} is no name of an index: it must be in lower case, not begin with '_', '-', '+' or "
            f"'.', and have none of {' '.join(sorted(_NEVER_IN_INDEX)).strip()} or spaces in it."
        )
    if importlib.util.find_spec("opensearchpy") is None:
        raise invalid("The destination needs opensearch-py, which is not installed: pip install 'clary[data]'.")


def _endpoint(url: str) -> dict[str, Any]:
    """The server of a ClusterEndpoint, as the client library takes it. Raises InvalidArgumentException."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise invalid(
            f"ClusterEndpoint {without_password(url)!r} must look like https://host:port or http://host:port."
        )
    found: dict[str, Any] = {"host": parts.hostname, "port": port, "use_ssl": parts.scheme == "https"}
    if parts.path.strip("/"):
        found["url_prefix"] = parts.path.strip("/")
    if parts.username == HIDDEN:
        raise invalid("ClusterEndpoint has *** where DescribeDeliveryStream hides a password: give the password again.")
    if parts.username is not None:
        found["http_auth"] = (unquote(parts.username), unquote(parts.password or ""))
    return found


class _Answer(NamedTuple):
    """What a server, or this module, said for good about a record; `code` is empty for one that is indexed."""

    code: str
    message: str


_INDEXED = _Answer("", "")


class _Action(NamedTuple):
    record: Record
    lines: bytes


class OpenSearch:
    """The index, or the series of indexes, of one delivery stream."""

    def __init__(self, stream: Entry[DeliveryStream], configuration: Mapping[str, Any]) -> None:
        self._server = _endpoint(str(configuration["ClusterEndpoint"]))
        self._index = str(configuration["IndexName"])
        self._rotation = str(configuration["IndexRotationPeriod"])
        self._type = str(configuration.get("TypeName") or "")
        options = configuration.get("DocumentIdOptions") or {}
        self._has_ids = options.get("DefaultDocumentIdFormat") != "NO_DOCUMENT_ID"
        self._service = "ES" if stream.value.kind == _ELASTICSEARCH else "OS"
        self._most_bytes = _REQUEST_BYTES
        self._client: Any = None
        self._answers: dict[str, _Answer] = {}

    def deliver(self, batch: Sequence[Record]) -> list[Failure]:
        """Index the records; return those that are no JSON objects or that the server refuses. Raises Unavailable."""
        # What was said of another batch is of no use any more.
        self._answers = {record.id: self._answers[record.id] for record in batch if record.id in self._answers}
        for actions in self._requests(batch):
            self._send(actions)
        return self._failures(batch, _INDEXED)

    def give_up(self, batch: Sequence[Record], code: str, message: str) -> list[Failure]:
        """Return the records that are not indexed: those that were refused, and those that nothing was said of."""
        return self._failures(batch, _Answer(code, message))

    def _failures(self, batch: Sequence[Record], otherwise: _Answer) -> list[Failure]:
        answers, self._answers = self._answers, {}
        found = [answers.get(record.id, otherwise) for record in batch]
        return [Failure(number, *answer) for number, answer in enumerate(found) if answer.code]

    def details(self, record: Record) -> dict[str, str]:
        """What the error output says of a record beside why it is there."""
        return {
            "esDocumentId": record.id if self._has_ids else "",
            "esIndexName": self._index_of(record),
            "esTypeName": self._type,
        }

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _index_of(self, record: Record) -> str:
        day = datetime.fromtimestamp(record.at_ms / 1000, UTC)
        if self._rotation == "OneWeek":
            # As AWS documents it: weeks begin on Sundays, and the first of a year is the first with a Saturday in it.
            saturday = day + timedelta(days=(5 - day.weekday()) % 7)
            return f"{self._index}-{saturday.year}-w{(saturday.timetuple().tm_yday - 1) // 7 + 1:02d}"
        return self._index + day.strftime(_ROTATIONS[self._rotation])

    def _requests(self, batch: Sequence[Record]) -> Iterator[list[_Action]]:
        """The actions for what is not answered yet, a request's worth at a time."""
        waiting: list[_Action] = []
        size = 0
        for record in batch:
            if record.id in self._answers:
                continue
            document = _document(record.data)
            if document is None:
                why = {"type": _NOT_JSON, "reason": "failed to parse: the record is not one JSON object"}
                self._answers[record.id] = _Answer("400", orjson.dumps(why).decode())
                continue
            action = _Action(record, self._head(record) + b"\n" + document + b"\n")
            if waiting and size + len(action.lines) > self._most_bytes:
                yield waiting
                waiting, size = [], 0
            waiting.append(action)
            size += len(action.lines)
        if waiting:
            yield waiting

    def _head(self, record: Record) -> bytes:
        head = {"_index": self._index_of(record)}
        if self._has_ids:
            head["_id"] = record.id
        if self._type:
            head["_type"] = self._type
        return orjson.dumps({"index": head})

    def _send(self, actions: list[_Action]) -> None:
        """Send one request, and note what is answered. Raises Unavailable when anything is worth trying again."""
        from opensearchpy import TransportError

        try:
            items = self._bulk(b"".join(action.lines for action in actions))
        except TransportError as error:
            if error.status_code == "TIMEOUT":
                # A slow server never comes to an end with a batch that is always sent to it whole.
                self._most_bytes = max(self._most_bytes // 2, _LEAST_REQUEST_BYTES)
            if error.status_code != 413:
                raise self._unavailable(error) from error
            if len(actions) == 1:
                self._answers[actions[0].record.id] = _Answer("413", "the server takes no document as large as this")
                return
            half = len(actions) // 2
            self._send(actions[:half])
            self._send(actions[half:])
            return
        if len(items) != len(actions):
            raise Unavailable(f"{self._service}.ServiceException", f"{len(items)} answers to {len(actions)} documents")
        again = ""
        for action, item in zip(actions, items, strict=True):
            status, refusal = item.get("status", 500), item.get("error")
            if status < 300 and not refusal:
                self._answers[action.record.id] = _INDEXED
            elif _is_passing(status, refusal):
                again = f"{status}: {_said(refusal)}"
            else:
                self._answers[action.record.id] = _Answer(str(status), _said(refusal))
        if again:
            raise Unavailable(f"{self._service}.ServiceException", again)

    def _bulk(self, body: bytes) -> list[dict[str, Any]]:
        """What a server answers to each action. Raises TransportError."""
        from opensearchpy import TransportError

        found = self._connected().transport.perform_request(
            "POST", _PATH, headers={"content-type": "application/x-ndjson"}, body=body
        )
        try:
            return [item["index"] for item in found["items"]]
        except (KeyError, TypeError):
            raise TransportError(502, "the answer is not one of _bulk", found) from None

    def _connected(self) -> Any:
        if self._client is None:
            from opensearchpy import OpenSearch as Client

            # It would log each failure with a traceback; whoever drives this says in one line what went wrong.
            logging.getLogger("opensearch").setLevel(logging.CRITICAL)
            self._client = Client(
                [self._server], timeout=_REQUEST_SECONDS, max_retries=0, http_compress=True, verify_certs=True
            )
        return self._client

    def _unavailable(self, error: Any) -> Unavailable:
        """Why the whole request failed; `error` is the library's."""
        status = error.status_code
        code = {401: "AccessDenied", 403: "AccessDenied", 404: "ResourceNotFound"}.get(status, "ServiceException")
        said = str(error.info if isinstance(status, str) and error.info else error)
        return Unavailable(f"{self._service}.{code}", " ".join(said.split())[:1000])


def open(platform: Platform, stream: Entry[DeliveryStream], configuration: Mapping[str, Any]) -> OpenSearch:
    return OpenSearch(stream, configuration)


def _document(data: bytes) -> bytes | None:
    """The document on one line; None for what is not one JSON object."""
    try:
        if not isinstance(orjson.loads(data), dict):
            return None
    except orjson.JSONDecodeError:
        return None
    # A line break inside a string would be no JSON: these stand between its parts.
    return data.strip().replace(b"\n", b" ").replace(b"\r", b" ")


def _is_passing(status: int, refusal: object) -> bool:
    """Whether a document may be taken later: the server is busy, ill, or keeps its indexes from being written to."""
    blocked = isinstance(refusal, Mapping) and refusal.get("type") == "cluster_block_exception"
    return status in (408, 429) or status >= 500 or blocked


def _said(refusal: object) -> str:
    return refusal if isinstance(refusal, str) else orjson.dumps(refusal).decode()
