"""botocore's own protocol corpus, reversed: it was written for clients, and tests a server as well.

A case of `input/` gives params and the request a client makes of them: we must read the params back. A case of
`output/` gives what a client reads: we write it, and botocore's parser must read the same.
`tests/wire/fetch_corpus.sh` brings the corpus.
"""

import base64
import json
import math
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from botocore.eventstream import EventStream
from botocore.model import OperationModel, ServiceModel
from tests.wire.botocore_side import output_of, parsed

from clary.kernel.wire import Operation, Request, Service
from clary.kernel.wire.codecs import codec
from clary.kernel.wire.rest_routes import RestRoutes

CORPUS = Path(__file__).parent / ".corpus" / version("botocore") / "protocols"

# What we do otherwise, by the case's name, and why
NOT_ON_THE_WIRE = "an empty map or list leaves no trace in this protocol"
FILLED_BY_CLIENT = "the token is made by the client and so reaches us"
NO_BODY = "the corpus does not hold the compressed body; test_compression.py does"
NO_NAME = "botocore's model of it lacks the XML name; botocore skips it too"
EMPTY_BODY = "an empty body is an empty blob, as PutObject needs"
PRECEDENCE = "which of two values for one name wins is decided by the client"
CLIENT_ONLY = "what a client makes of an answer that no server may give"
BOTOCORE = "botocore does not read it as the protocol has it, and skips the case too"
EMPTY_STRUCTURE = "{} was sent, and an empty structure is what we read"
KNOWN = {
    "input": {
        "SDKAppliedContentEncoding_awsJson1_1": NO_BODY,
        "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1": NO_BODY,
        "SDKAppliedContentEncoding_awsJson1_0": NO_BODY,
        "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0": NO_BODY,
        "SDKAppliedContentEncoding_awsQuery": NO_BODY,
        "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery": NO_BODY,
        "SDKAppliedContentEncoding_restJson1": NO_BODY,
        "SDKAppendedGzipAfterProvidedEncoding_restJson1": NO_BODY,
        "SDKAppliedContentEncoding_restXml": NO_BODY,
        "SDKAppendedGzipAfterProvidedEncoding_restXml": NO_BODY,
        "QueryProtocolIdempotencyTokenAutoFill": FILLED_BY_CLIENT,
        "RestJsonQueryIdempotencyTokenAutoFill": FILLED_BY_CLIENT,
        "QueryIdempotencyTokenAutoFill": FILLED_BY_CLIENT,
        "Idempotency token auto fill-1": FILLED_BY_CLIENT,
        "QueryEmptyQueryMaps": NOT_ON_THE_WIRE,
        "RestJsonHttpPrefixHeadersAreNotPresent": NOT_ON_THE_WIRE,
        "HttpPrefixHeadersAreNotPresent": NOT_ON_THE_WIRE,
        "RestJsonOmitsEmptyListQueryValues": NOT_ON_THE_WIRE,
        "List in header-1": NOT_ON_THE_WIRE,
        "QueryFlattenedListArgWithXmlName": NO_NAME,
        "BodyWithXmlName": NO_NAME,
        "HttpPayloadWithXmlName": NO_NAME,
        "RestJsonHttpPayloadTraitsWithNoBlobBody": EMPTY_BODY,
        "HttpPayloadTraitsWithNoBlobBody": EMPTY_BODY,
        "RestJsonHttpWithEmptyBlobPayload": EMPTY_BODY,
        "Blob payload-1": EMPTY_BODY,
        "RestJsonHttpWithEmptyStructurePayload": EMPTY_STRUCTURE,
        "RestJsonHttpWithHeadersButNoPayload": EMPTY_STRUCTURE,
        "RestJsonQueryPrecedence": PRECEDENCE,
        "RestXmlQueryPrecedence": PRECEDENCE,
        "MediaTypeHeaderInputBase64": "botocore's model lacks the media type; botocore skips it too",
        "RestJsonHostWithPath": "an endpoint's own path is not part of the operation's",
        "No parameters-0": "has no params",
        "rest-json: Structure payload-1": EMPTY_STRUCTURE,
        "Content-Type and JSON body-2": EMPTY_STRUCTURE,
        "Content-Type and JSON body-4": EMPTY_STRUCTURE,
        "Content-Type and JSON body-7": EMPTY_BODY,
    },
    "output": {
        "RestJsonHttpPayloadTraitsWithNoBlobBody": EMPTY_BODY,
        "HttpPayloadTraitsWithNoBlobBody": EMPTY_BODY,
        "RestJsonHttpPayloadWithUnsetUnion": CLIENT_ONLY,
        "RestXmlHttpPayloadWithUnsetUnion": CLIENT_ONLY,
        "Tagged Unions-2": CLIENT_ONLY,
        "Unions-2": CLIENT_ONLY,
        "IgnoreQueryParamsInResponse": CLIENT_ONLY,
        "HttpPrefixHeadersResponse": "an empty prefix takes every header, and we send more than the case has",
        "Supports header maps-0": "an empty prefix takes every header, and we send more than the case has",
        "RestJsonInputAndOutputWithQuotedStringHeaders": BOTOCORE,
        "RestJsonInputAndOutputWithTimestampHeaders": BOTOCORE,
        "InputAndOutputWithTimestampHeaders": BOTOCORE,
        "QueryXmlLists": BOTOCORE,
        "XmlLists": BOTOCORE,
        "Flattened list with location name-0": BOTOCORE,
    },
}


def cases(kind: str) -> list[Any]:
    return list(_cases(kind))


def _cases(kind: str) -> Iterator[Any]:
    for folder in (CORPUS / kind, CORPUS / "legacy" / kind):
        for path in sorted(folder.glob("*.json")):
            if path.stem == "ec2":
                continue  # no service in scope speaks it
            for suite_number, suite in enumerate(json.loads(path.read_text())):
                for number, case in enumerate(suite["cases"]):
                    name = case.get("id") or f"{suite['description']}-{number}"
                    label = f"{folder.parent.name}-{path.stem}-{suite_number}-{name}"
                    known = KNOWN[kind].get(name) or KNOWN[kind].get(f"{path.stem}: {name}")
                    marks = [pytest.mark.xfail(reason=known, strict=True)] if known else []
                    yield pytest.param(suite, case, id=label, marks=marks)


needs_corpus = pytest.mark.skipif(
    not CORPUS.exists() and not os.environ.get("CLARY_REQUIRE_ALL"),
    reason="botocore's corpus is not here: run tests/wire/fetch_corpus.sh",
)


def operation_of(suite: dict[str, Any], case: dict[str, Any]) -> Operation:
    given = {"http": {"method": "POST", "requestUri": "/"}, "name": "OperationName", **case["given"]}
    given["http"] = {"method": "POST", "requestUri": "/", **given["http"]}
    model = {"metadata": {"apiVersion": "", **suite["metadata"]}, "operations": {given["name"]: given}}
    shapes = dict(suite["shapes"])
    use = given.get("input", {})
    if "payload" in use:  # old cases say so at the use
        shapes[use["shape"]] = {**shapes[use["shape"]], "payload": use["payload"]}
    return Service("corpus", {**model, "shapes": shapes}).operations[given["name"]]


def protocol_of(suite: dict[str, Any]) -> str:
    protocol: str = suite["metadata"]["protocol"]
    return protocol


def codec_of(suite: dict[str, Any]) -> Any:
    protocol = protocol_of(suite)
    return codec(f"json-{suite['metadata'].get('jsonVersion', '1.1')}" if protocol == "json" else protocol)


@needs_corpus
def test_the_corpus_is_here() -> None:
    assert len(cases("input")) > 300
    assert len(cases("output")) > 300


@needs_corpus
@pytest.mark.parametrize(("suite", "case"), cases("input"))
def test_we_read_what_a_client_writes(suite: dict[str, Any], case: dict[str, Any]) -> None:
    operation = operation_of(suite, case)
    sent = case["serialized"]
    body = sent.get("body", "")
    raw = base64.b64decode(body) if protocol_of(suite) == "smithy-rpc-v2-cbor" else body.encode()
    headers = {key.lower(): value for key, value in sent.get("headers", {}).items()}
    path, _, query = sent.get("uri", "/").partition("?")
    message = Request(operation.method, path, query, headers, raw)
    labels = {}
    if protocol_of(suite).startswith("rest"):
        found = RestRoutes([operation]).find(message, path)
        assert found is not None
        labels = found[1]
    params = plain(codec_of(suite).parse(operation, message, labels))
    # A map of the query takes what is bound by name as well; clients keep the two apart
    for use in operation.input.members.values() if operation.input else ():
        if use.location == "querystring" and use.shape.type == "map":
            wanted = case["params"].get(use.name, {})
            params[use.name] = {key: value for key, value in params.get(use.name, {}).items() if key in wanted}
            params = {key: value for key, value in params.items() if key != use.name or use.name in case["params"]}
    assert params == plain(case["params"])


@needs_corpus
@pytest.mark.parametrize(("suite", "case"), cases("output"))
def test_a_client_reads_what_we_write(suite: dict[str, Any], case: dict[str, Any]) -> None:
    operation = operation_of(suite, case)
    given = case["given"]
    if protocol_of(suite) == "query" and "output" in given:
        given = {**given, "output": {**given["output"], "resultWrapper": f"{operation.name}Result"}}
    model = ServiceModel({**suite, "operations": {operation.name: given}})
    operation_model = OperationModel(given, model, operation.name)
    if "error" in case:
        response = codec_of(suite).serialize_error(
            operation, case["errorCode"], case.get("errorMessage", ""), None, case["error"], "request-1"
        )
        found = parsed(response, operation_model.output_shape, protocol_of(suite))
        assert found["Error"]["Code"] == case["errorCode"]
        assert (found["Error"]["Message"] or "") == case.get("errorMessage", "")
        return
    response = codec_of(suite).serialize(operation, floats(case["result"]), "request-1")
    found = output_of(response, operation_model, protocol_of(suite))
    found.pop("ResponseMetadata", None)
    events = next((name for name, value in found.items() if isinstance(value, EventStream)), None)
    if events is not None:
        found[events] = list(found[events])
    assert plain(found) == plain(case["result"])


def floats(value: Any) -> Any:
    """A result as a handler gives it: the corpus writes the floats that JSON lacks as text."""
    if isinstance(value, dict):
        return {key: floats(item) for key, item in value.items()}
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def plain(value: Any) -> Any:
    """Both sides in the corpus's notation: text for bytes and special floats, numbers for times, no nulls."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value.timestamp() if hasattr(value, "timestamp") else value
