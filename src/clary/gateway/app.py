"""One request from socket to answer, as a raw ASGI application.

    peek at the signature's scope → route → verify → parse → dispatch → serialise → send

Nothing stands between the socket and this file, and nothing a client sends ends in anything but an answer: what
is wrong with a request is an AWS error, what is wrong with us is a 500 with a request id and a logged traceback.
"""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from clary.gateway import control, cors
from clary.gateway.access_log import AccessLog
from clary.gateway.bodies import (
    ClientGone,
    Whole,
    check_size,
    discard_rest,
    is_more_than_discarded,
    read_whole,
    receive_chunks,
    send_body,
)
from clary.kernel.auth import payload, refusals, signatures
from clary.kernel.auth.principals import Principal
from clary.kernel.auth.signatures import Identity, Scope
from clary.kernel.core import ids
from clary.kernel.core.errors import AwsError
from clary.kernel.objects.checksums import TRAILER_CHECKSUMS
from clary.kernel.objects.intake import check_document
from clary.kernel.rooms import Body, Context, Platform, Reply
from clary.kernel.wire import Match, Request, Response, error_codec, route, routes_by_body

_log = logging.getLogger("clary.gateway")

_NAMING_SERVICE = frozenset({"header", "query"})  # signature version 2 names none
_ANONYMOUS = Principal("anonymous", "")
_NO_EXTENSIONS: Mapping[str, Any] = {}
_GONE = Response(499, [])
_MOST_HELD_BYTES = 1 << 30
_MOST_NAMES = 1024
_UNSIGNED_BYTES = 256 * 1024  # what somebody without a key may have us keep in memory

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(slots=True)
class Exchange:
    """What is known so far of a request that is being answered."""

    request: Request
    receive: Receive
    whole: Whole | None = None
    request_id: str = field(default_factory=ids.request_id)
    scope: Scope | None = None
    match: Match | None = None
    principal: Principal = _ANONYMOUS
    region: str = ""  # that the signature names, if it does
    body_is_read: bool = False
    body_has_ended: bool = False
    held_bytes: int = 0


class Gateway:
    """The ASGI application over one platform."""

    def __init__(self, platform: Platform, endpoint: str) -> None:
        self._platform = platform
        self._settings = platform.settings
        self._endpoint = endpoint
        self._hosts = (endpoint.partition("://")[2].rpartition(":")[0],)
        self._held_bytes = 0
        self._access_log = AccessLog(self._settings.home / "log" / "access.log") if self._settings.access_log else None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        whole = scope.get("extensions", _NO_EXTENSIONS).get("clary.whole")
        exchange = Exchange(_request(scope), receive, whole)
        response = _GONE
        try:
            response = await self._answer(exchange)
            if not exchange.body_has_ended:
                await self._settle_body(exchange, response)
            await send_body(send, receive, response, head=exchange.request.method == "HEAD", whole=whole)
        except ClientGone:
            response = _GONE
        finally:
            self._held_bytes -= exchange.held_bytes
            if self._access_log is not None:
                self._access_log.write(exchange, response, scope.get("client"), time.perf_counter() - started)

    async def _answer(self, exchange: Exchange) -> Response:
        request = exchange.request
        try:
            own = None
            if request.path.startswith(control.PREFIX):
                own = await control.answer(self._platform, request)
            elif request.method == "OPTIONS":
                own = cors.preflight(self._platform, request)
            if own is not None:
                return own
            response = await self._serve(exchange)
        except AwsError as error:
            response = _refusal(exchange, error)
        except ClientGone:
            raise
        except Exception:  # noqa: BLE001 - the last line of defence: the client gets a 500, the log the traceback
            _log.exception("request %s failed: %s %s", exchange.request_id, *_named(exchange))
            response = _refusal(exchange, _internal(exchange.request_id))
        if "origin" in request.headers:
            cors.decorate(self._platform, request, response)
        return response

    async def _settle_body(self, exchange: Exchange, response: Response) -> None:
        """Leave nothing of a body unread that the client would send where its next request is expected."""
        headers = exchange.request.headers
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        if not has_body:
            return
        # Who waits for `100 Continue` has not sent a body yet, and asking for it would only make it come.
        waits = headers.get("expect", "").lower() == "100-continue"
        if waits or is_more_than_discarded(headers) or not await discard_rest(exchange.receive):
            response.headers.append((b"connection", b"close"))

    async def _serve(self, exchange: Exchange) -> Response:
        request = exchange.request
        exchange.scope = scope = signatures.peek_scope(request)
        service = scope.service if scope is not None and scope.kind in _NAMING_SERVICE else None
        if routes_by_body(request, service) and not self._takes_document(exchange):
            await self._read_document(exchange)
        exchange.match = match = route(request, service, self._hosts)
        if scope is None:
            self._check_takes_unsigned(match)
        streams_body = scope is not None and match.operation.service.name == "s3"
        if not (streams_body or exchange.body_is_read or self._takes_document(exchange)):
            await self._read_document(exchange)
        if scope is not None:
            identity = self._verify(exchange, scope, streams_body=streams_body)
            if streams_body:
                await self._attach_body(exchange, match, identity)
        params = match.codec.parse(match.operation, request, match.path_params)
        reply = await self._platform.registry.invoke(self._context(exchange, match), params)
        return _response(match, reply, exchange.request_id)

    def _check_takes_unsigned(self, match: Match) -> None:
        if not self._platform.registry.takes_unsigned(match.operation):
            raise refusals.refuse(
                refusals.Fault.UNSIGNED,
                refusals.style_of(match.operation.service.name),
                "The request is not signed: set the AWS credentials that `clary env` prints.",
            )

    def _verify(self, exchange: Exchange, scope: Scope, *, streams_body: bool) -> Identity:
        """Prove who signed, and that the body is what was signed; a body that is streamed is checked as it is read."""
        request = exchange.request
        identity = signatures.verify(
            request,
            scope,
            self._platform.keys.find,
            now=self._platform.clock.now(),
            body=None if streams_body else request.body,
            skew_seconds=self._settings.clock_skew_seconds,
        )
        exchange.principal, exchange.region = identity.credential.principal, scope.region
        return identity

    async def _attach_body(self, exchange: Exchange, match: Match, identity: Identity) -> None:
        request = exchange.request
        streamed = match.operation.streaming_input is not None
        limit = self._settings.max_body_bytes if streamed else self._settings.max_document_bytes
        decoded = payload.decoded(identity, request, self._chunks(exchange, limit), checksums=TRAILER_CHECKSUMS)
        if streamed:
            request.body = Body(decoded, payload.decoded_length(request))
        else:
            request.body = await read_whole(self._held(exchange, decoded))
            check_document(request.headers, request.body)

    async def _read_document(self, exchange: Exchange) -> None:
        """Read a body that is still to come into memory, if it is of somebody whose key there is."""
        scope = exchange.scope
        if scope is not None:
            signatures.find_key(scope, self._platform.keys.find)
        chunks = self._chunks(exchange, self._most_in_memory(scope))
        exchange.request.body = await read_whole(self._held(exchange, chunks))

    def _takes_document(self, exchange: Exchange) -> bool:
        """Take a body that is all here already; say whether it was."""
        exchange.body_is_read = True
        body = exchange.whole.take_body() if exchange.whole is not None else None
        if body is None:
            return False
        exchange.body_has_ended = True
        check_size(len(body), self._most_in_memory(exchange.scope))
        exchange.request.body = body
        return True

    def _most_in_memory(self, scope: Scope | None) -> int:
        return self._settings.max_document_bytes if scope is not None else _UNSIGNED_BYTES

    async def _held(self, exchange: Exchange, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Count what is kept in memory until its request is answered; refuse what would be too much of it."""
        async for chunk in chunks:
            exchange.held_bytes += len(chunk)
            self._held_bytes += len(chunk)
            if self._held_bytes > _MOST_HELD_BYTES:
                message = "Too many large requests are in progress. Please try again."
                raise AwsError("ServiceUnavailable", message, status=503)
            yield chunk

    async def _chunks(self, exchange: Exchange, limit: int) -> AsyncIterator[bytes]:
        silence = self._settings.body_timeout_seconds
        async for chunk in receive_chunks(exchange.request, exchange.receive, limit, silence):
            yield chunk
        exchange.body_has_ended = True

    def _context(self, exchange: Exchange, match: Match) -> Context:
        principal = exchange.principal
        return Context(
            self._platform,
            match.operation,
            principal,
            principal.account,
            exchange.region or self._settings.region,
            exchange.request_id,
            self._endpoint,
            exchange.request.headers,
        )


def _request(scope: Mapping[str, Any]) -> Request:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = _names.get(raw_name) or _name(raw_name), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    return Request(scope["method"], path, query, headers)


_names: dict[bytes, str] = {}


def _name(raw: bytes) -> str:
    """A header's name, remembered: clients send the same ones again and again."""
    name = raw.decode("latin-1")
    if len(_names) < _MOST_NAMES:
        _names[raw] = name
    return name


def _response(match: Match, reply: Reply, request_id: str) -> Response:
    response = match.codec.serialize(match.operation, reply.output, request_id)
    if reply.status is not None:
        response.status = reply.status
    for name, value in reply.headers.items():
        response.headers.append((name.lower().encode(), value.encode("latin-1")))
    return response


def _refusal(exchange: Exchange, error: AwsError) -> Response:
    match = exchange.match
    service = exchange.scope.service if exchange.scope is not None else None
    codec = match.codec if match is not None else error_codec(exchange.request, service)
    return codec.serialize_error(
        match.operation if match is not None else None,
        error.code,
        error.message,
        error.status,
        error.members,
        exchange.request_id,
    )


def _internal(request_id: str) -> AwsError:
    return AwsError(
        "InternalFailure", f"Clary met a fault of its own. The log has the details under {request_id}.", status=500
    )


def _named(exchange: Exchange) -> tuple[str, str]:
    if exchange.match is not None:
        return exchange.match.operation.service.name, exchange.match.operation.name
    return exchange.request.method, exchange.request.path
