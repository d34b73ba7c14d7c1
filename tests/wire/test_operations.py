"""Every operation of every service, both ways, against botocore's own client side."""

from datetime import datetime
from typing import Any

import pytest
from tests.wire.botocore_side import output_of, parsed, request_of, service_model
from tests.wire.samples import Samples

from clary.kernel.wire import SERVICES, Operation, route, service
from clary.kernel.wire.codecs import codec

# botocore reads it with a handler of its own, not with its parser; test_s3.py covers it
HANDLED_BY_CLIENT = {("s3", "GetBucketLocation")}
# Same method and URI as a newer operation, which answers for it
SUPERSEDED = {
    ("s3", "GetBucketLifecycle"): "GetBucketLifecycleConfiguration",
    ("s3", "PutBucketLifecycle"): "PutBucketLifecycleConfiguration",
    ("s3", "GetBucketNotification"): "GetBucketNotificationConfiguration",
    ("s3", "PutBucketNotification"): "PutBucketNotificationConfiguration",
    ("s3", "ListDirectoryBuckets"): "ListBuckets",  # S3 Express answers it on hosts of its own
}
# Two members share one XML element in this deprecated shape: no reader can tell them apart
AMBIGUOUS = {("s3", "GetBucketNotification"), ("s3", "PutBucketNotification")}


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
        expected = SUPERSEDED.get((name, operation.name), operation.name)
        if match.operation.name != expected or match.operation.service.name != name:
            wrong.append(f"{operation.name} routed to {match.operation}")
        if (name, operation.name) in AMBIGUOUS:
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
        if operation.event_stream or (name, operation.name) in {*HANDLED_BY_CLIENT, *AMBIGUOUS}:
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


@pytest.mark.parametrize(("name", "protocol"), CASES)
def test_botocore_reads_our_errors(name: str, protocol: str) -> None:
    wrong = []
    model = service_model(name)
    codec_ = codec(codec_name(service(name).operations[next(iter(service(name).operations))], protocol))
    seen = set()
    for operation in service(name).operations.values():
        if operation.method == "HEAD":
            continue  # has no body to read
        for error in {each.name: each for each in operation.errors.values()}.values():
            if error.name in seen:
                continue
            seen.add(error.name)
            members = Samples().structure(error.shape)
            message = members.pop(next((key for key in members if key.lower() == "message"), ""), None)
            wanted = reference(members)
            response = codec_.serialize_error(operation, error.name, "why <é>", None, members, "request-1")
            operation_model = model.operation_model(operation.name)
            found = parsed(response, operation_model.output_shape, protocol)
            old_code = protocol in ("query", "rest-xml") or operation.service.query_compatible
            code = error.code if old_code else error.name
            if found["Error"]["Code"] != code or found["Error"]["Message"] != "why <é>":
                wrong.append(f"{operation.name} {error.name}: {found['Error']}")
            if response.status != error.status:
                wrong.append(f"{error.name}: status {response.status}, not {error.status}")
            shape = model.shape_for_error_code(code) or model.shape_for_error_code(error.name)
            details = reference(parsed(response, shape, protocol))
            details.pop("ResponseMetadata", None)
            details = {key: value for key, value in details.items() if key.lower() != "message"}
            if shape.name == error.name and details != wanted:
                wrong.append(f"{operation.name} {error.name}: {difference(details, wanted)}")
            if message is not None and found["ResponseMetadata"].get("RequestId") != "request-1":
                wrong.append(f"{error.name}: no request id")
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
