"""The contract of a protocol's codec, and the one codec object of each protocol.

    json-1.0, json-1.1       protocol_json.py     X-Amz-Target names the operation; the body is JSON
    amz-cbor-1.1             protocol_cbor.py     the same with a CBOR body, as Kinesis's Java clients send
    smithy-rpc-v2-cbor       protocol_cbor.py     the path names the operation; the body is CBOR
    query                    protocol_query.py    a form names the operation; the answer is XML
    rest-json, rest-xml      protocol_rest_*.py   method and URI name the operation; members are in URI, headers, body

A codec is stateless but for what it compiled, so one of each serves every service and thread.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

from clary.kernel.wire.messages import Request, Response
from clary.kernel.wire.models import Operation


class Codec(Protocol):
    """One protocol. Compiles what an operation needs when it first meets it."""

    name: str

    def parse(self, operation: Operation, request: Request, path_params: Mapping[str, str]) -> dict[str, Any]:
        """The operation's params. Raises AwsError, with the protocol's own code, for whatever cannot be read."""

    def serialize(self, operation: Operation, output: Mapping[str, Any] | None, request_id: str) -> Response:
        """The answer. Raises OutputError where `output` does not fit the model."""

    def serialize_error(
        self,
        operation: Operation | None,
        code: str,
        message: str,
        status: int | None,
        members: Mapping[str, Any] | None,
        request_id: str,
    ) -> Response:
        """The error `code`, as the operation or its service models it; `status` None takes the model's, else 400."""


def codec(name: str) -> Codec:
    """The codec called `name` in the table above."""
    return _codecs()[name]


@cache
def _codecs() -> dict[str, Codec]:
    from clary.kernel.wire.protocol_cbor import KinesisCbor, RpcCbor
    from clary.kernel.wire.protocol_json import AwsJson
    from clary.kernel.wire.protocol_query import Query
    from clary.kernel.wire.protocol_rest_json import RestJson
    from clary.kernel.wire.protocol_rest_xml import RestXml

    every: tuple[Codec, ...] = (
        AwsJson("1.0"),
        AwsJson("1.1"),
        KinesisCbor(),
        RpcCbor(),
        Query(),
        RestJson(),
        RestXml(),
    )
    return {each.name: each for each in every}
