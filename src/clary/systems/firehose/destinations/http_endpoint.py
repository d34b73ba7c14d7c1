"""HTTP endpoints: batches are posted in the form that Amazon documents for those who receive from Firehose.

https://docs.aws.amazon.com/firehose/latest/dev/httpdeliveryrequestresponse.html
"""

import base64
import contextlib
import gzip
import http.client
import json
import socket
import ssl
import threading
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson

from clary.kernel.rooms import Platform
from clary.kernel.store import Entry
from clary.systems.firehose.destinations.contract import Failure, Record, Unavailable
from clary.systems.firehose.records import DeliveryStream, stream_arn
from clary.systems.firehose.refusals import invalid

TIMEOUT_SECONDS = 60.0  # without a sign of life
LONGEST_SECONDS = 180.0  # for a whole request, however it is spent
MOST_RESPONSE_BYTES = 1024 * 1024

_AGENT = "Amazon Kinesis Data Firehose Agent/1.0"
_SHOWN_BYTES = 1024


def check(configuration: Mapping[str, Any]) -> None:
    """Raise InvalidArgumentException for an URL that nothing can be posted to, and for secrets that are elsewhere."""
    url = configuration["EndpointConfiguration"]["Url"]
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or not url.isascii() or not url.isprintable() or " " in url:
        raise invalid(f"EndpointConfiguration.Url {url!r} is not an URL of a web server.")
    key = configuration["EndpointConfiguration"].get("AccessKey", "")
    if not key.isascii() or not (key.isprintable() or not key):
        raise invalid("EndpointConfiguration.AccessKey must be of printable ASCII characters: it is sent as a header.")
    if configuration.get("SecretsManagerConfiguration", {}).get("Enabled"):
        raise invalid("SecretsManagerConfiguration is not supported by Clary: give EndpointConfiguration.AccessKey.")


def open(platform: Platform, stream: Entry[DeliveryStream], configuration: Mapping[str, Any]) -> "HttpEndpoint":
    return HttpEndpoint(platform, stream, configuration)


class HttpEndpoint:
    """Posts to one URL."""

    def __init__(self, platform: Platform, stream: Entry[DeliveryStream], configuration: Mapping[str, Any]) -> None:
        self._clock = platform.clock
        request = configuration["RequestConfiguration"]
        self._url: str = configuration["EndpointConfiguration"]["Url"]
        self._compressed = request["ContentEncoding"] == "GZIP"
        self._seed = stream.value.buffer
        self._headers = {
            "User-Agent": _AGENT,
            "Content-Type": "application/json",
            "X-Amz-Firehose-Protocol-Version": "1.0",
            "X-Amz-Firehose-Source-Arn": stream_arn(stream),
        }
        key = configuration["EndpointConfiguration"].get("AccessKey")
        if key:
            self._headers["X-Amz-Firehose-Access-Key"] = key
        if self._compressed:
            self._headers["Content-Encoding"] = "gzip"
        attributes = {each["AttributeName"]: each["AttributeValue"] for each in request.get("CommonAttributes", ())}
        if attributes:
            self._headers["X-Amz-Firehose-Common-Attributes"] = json.dumps({"commonAttributes": attributes})

    def deliver(self, batch: Sequence[Record]) -> list[Failure]:
        """Post a batch. The request's id is made from its records, so that it is the same when it is tried again."""
        request_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self._seed}/{batch[0].id}/{batch[-1].id}"))
        body = orjson.dumps(
            {
                "requestId": request_id,
                "timestamp": int(self._clock.now() * 1000),
                "records": [{"data": base64.b64encode(record.data).decode()} for record in batch],
            }
        )
        status, answer = self._post(gzip.compress(body, 6) if self._compressed else body, request_id)
        self._read(status, answer, request_id)
        return []

    def close(self) -> None:
        """Each batch has a connection of its own."""

    def _post(self, body: bytes, request_id: str) -> tuple[int, bytes]:
        parts = urlsplit(self._url)
        assert parts.hostname is not None
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        late = threading.Event()
        cut = threading.Timer(LONGEST_SECONDS, _cut, [connection, late])
        cut.daemon = True
        try:
            connection.connect()
            cut.start()
            connection.request("POST", target, body, {**self._headers, "X-Amz-Firehose-Request-Id": request_id})
            response = connection.getresponse()
            answer = _body(response)
            if late.is_set():
                raise _too_late()
            return response.status, answer
        except TimeoutError:
            raise _too_late() from None
        except (socket.gaierror, ConnectionRefusedError, ssl.SSLError) as error:
            raise Unavailable(
                "HttpEndpoint.ConnectionFailed",
                "Unable to connect to the specified endpoint. Contact the owner of the endpoint to resolve this "
                f"issue. {error}",
            ) from None
        except (OSError, http.client.HTTPException) as error:
            if late.is_set():
                raise _too_late() from None
            raise Unavailable(
                "HttpEndpoint.ConnectionReset", f"Unable to maintain connection with the endpoint. {error!r}"
            ) from None
        finally:
            cut.cancel()
            connection.close()

    def _read(self, status: int, answer: bytes, request_id: str) -> None:
        """Raise Unavailable unless the answer says that the request was taken."""
        if status != 200:
            raise Unavailable(
                "HttpEndpoint.DestinationException",
                "Received the following response from the endpoint destination. "
                f"{status} {answer[:_SHOWN_BYTES].decode(errors='replace')}",
            )
        try:
            echoed = orjson.loads(answer)["requestId"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            echoed = None
        if echoed != request_id:
            raise Unavailable(
                "HttpEndpoint.InvalidResponseFromDestination",
                "The response received from the specified endpoint is invalid. Contact the owner of the endpoint to "
                "resolve the issue. It must be JSON that holds the requestId.",
            )


def _too_late() -> Unavailable:
    return Unavailable(
        "HttpEndpoint.RequestTimeout", "The timeout was reached before a response was received and will be retried."
    )


def _cut(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    """End a connection that another thread waits for."""
    late.set()
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


def _body(response: http.client.HTTPResponse) -> bytes:
    """A response's body. Raises Unavailable when it is too large."""
    found = response.read(MOST_RESPONSE_BYTES + 1)
    if len(found) > MOST_RESPONSE_BYTES:
        raise Unavailable(
            "HttpEndpoint.ResponseTooLarge",
            "The response received from the endpoint is too large. Contact the owner of the endpoint to resolve this "
            "issue.",
        )
    return found
