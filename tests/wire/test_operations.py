"""Every operation of every service, both ways, against botocore's own client side."""

from datetime import datetime
from typing import Any

import pytest
from tests.wire.botocore_side import output_of, request_of, service_model
from tests.wire.samples import Samples

from clary.kernel.wire import SERVICES, Operation, route, service
from clary.kernel.wire.codecs import codec

# S3 answers what botocore reads with an operation's own handler, not with its parser
HANDLED_BY_CLIENT = {("s3", "GetBucketLocation")}


CASES = [
    pytest.param(name, protocol, id=f"{name}-{protocol}") for name in SERVICES for protocol in service(name).protocols
]


def scope(operation: Operation) -> str:
    return operation.service.signing_name


def codec_name(operation: Operation, protocol: str) -> str:
    return f"json-{operation.service.json_version}" if protocol == "json" else protocol


def reference(value: Any) -> Any:
    """botocore's values as ours: datetimes to epoch seconds, stream bodies as they are."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, dict):
        return {key: reference(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reference(item) for item in value]
    return value


def sample_input(operation: Operation) -> dict[str, Any]:
    return Samples().structure(operation.input) if operation.input else {}


@pytest.mark.parametrize(("name", "protocol"), CASES)
def test_requests_of_botocore_are_routed_and_parsed(name: str, protocol: str) -> None:
    wrong = []
    model = service_model(name)
    for operation in service(name).operations.values():
        params = sample_input(operation)
        request = request_of(model.operation_model(operation.name), params, protocol)
        match = route(request, scope(operation))
        if match.operation is not operation:
            wrong.append(f"{operation.name} routed to {match.operation.name}")
            continue
        found = match.codec.parse(operation, request, match.path_params)
        if found != params:
            wrong.append(f"{operation.name}: {difference(found, params)}")
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize(("name", "protocol"), CASES)
def test_botocore_reads_our_answers(name: str, protocol: str) -> None:
    wrong = []
    model = service_model(name)
    for operation in service(name).operations.values():
        if operation.event_stream or (name, operation.name) in HANDLED_BY_CLIENT:
            continue
        output = Samples().structure(operation.output) if operation.output else {}
        response = codec(codec_name(operation, protocol)).serialize(operation, output, "request-1")
        found = reference(output_of(response, model.operation_model(operation.name), protocol))
        metadata = found.pop("ResponseMetadata")
        if operation.output and metadata["RequestId"] != "request-1":
            wrong.append(f"{operation.name}: request id {metadata}")
        if found != output:
            wrong.append(f"{operation.name}: {difference(found, output)}")
    assert not wrong, "\n".join(wrong[:20])


def difference(found: Any, wanted: Any, path: str = "") -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in {**found, **wanted}:
            if key not in found or key not in wanted:
                return f"{path}.{key}: only in {'found' if key in found else 'wanted'}"
            if found[key] != wanted[key]:
                return difference(found[key], wanted[key], f"{path}.{key}")
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        for number, pair in enumerate(zip(found, wanted, strict=True)):
            if pair[0] != pair[1]:
                return difference(*pair, f"{path}[{number}]")
    return f"{path}: found {found!r}, wanted {wanted!r}"
