"""The wire: AWS's protocols, compiled once per operation from botocore's models. No sockets, no rooms.

A gateway uses it in this order:

    request = Request(method, path, query, headers, body)
        # path and query raw (percent-encoded); header names lower-case, values latin-1 text, repeats joined by ","
    if routes_by_body(request, signing_name): read the body into bytes first (form posts of the query protocol)
    match = route(request, signing_name, endpoint_hosts=())   -> Match(operation, codec, path_params), or AwsError
        # signing_name: the service in the SigV4 credential scope, None when unsigned or SigV2
        # endpoint_hosts: our own host names without port; `<bucket>.<endpoint>` then reads as virtual-hosted S3
    match.operation.streaming_input   -> the member whose body is passed on unread (any object); None: body is bytes
    params = match.codec.parse(match.operation, request, match.path_params)
    check(match.operation, params)                            -> None, or AwsError with AWS's message
    response = match.codec.serialize(match.operation, output, request_id)
    response = match.codec.serialize_error(match.operation, code, message, status, members, request_id)
        # status None: the modelled status, else 400
    codec = error_codec(request, signing_name)                -> what to answer with when `route` itself failed,
        # by codec.serialize_error(None, ...)

    Response(status: int, headers: list[tuple[bytes, bytes]], body)
        # headers lower-case, ready for ASGI; content-length only when body is bytes. body: bytes, or for a streaming
        # member whatever the handler returned, or for an event stream an async iterator of encoded frames

Names, all importable from this package:

    SERVICES, service(name) -> Service                              models.py
    Service.operations: Mapping[str, Operation]; Service.errors
    Operation: name, service, input, output, method, uri, status, errors, streaming_input, streaming_output,
        event_stream, host_prefix, paginator, idempotency_tokens
    Shape, Member, ErrorShape
    Request, Response, Plain, Encoded, OutputError                  messages.py
    Codec                                                           codecs.py
    Match, route, routes_by_body, error_codec                       route.py
    check                                                           constraints.py
    paging, page_asked, page_output, paginate, encode_token, decode_token, bad_token        pagination.py

Values. Params and outputs use botocore's member names. Timestamps: `parse` gives epoch seconds as float; `serialize`
takes epoch seconds or datetimes (naive means UTC). Blobs are bytes (str is taken as UTF-8 on the way out). Members
that are None are left out. An output member that the model lacks is a fault of the room and raises OutputError.
Whatever a client sends, `route`, `parse` and `check` raise AwsError and nothing else.
"""

from clary.kernel.wire.codecs import Codec
from clary.kernel.wire.constraints import check
from clary.kernel.wire.messages import Encoded, OutputError, Plain, Request, Response
from clary.kernel.wire.models import SERVICES, ErrorShape, Member, Operation, Service, Shape, service
from clary.kernel.wire.pagination import (
    bad_token,
    decode_token,
    encode_token,
    page_asked,
    page_output,
    paginate,
    paging,
)
from clary.kernel.wire.route import Match, error_codec, route, routes_by_body

__all__ = [
    "SERVICES",
    "Codec",
    "Encoded",
    "ErrorShape",
    "Match",
    "Member",
    "Operation",
    "OutputError",
    "Plain",
    "Request",
    "Response",
    "Service",
    "Shape",
    "bad_token",
    "check",
    "decode_token",
    "encode_token",
    "error_codec",
    "page_asked",
    "page_output",
    "paginate",
    "paging",
    "route",
    "routes_by_body",
    "service",
]
