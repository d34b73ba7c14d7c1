"""Which operation a request asks for, and in which protocol.

The service in the signature's credential scope comes first, because paths alone collide: `/FeatureGroup/x` is an object
in S3 and a record in the feature store. Within a scope, `X-Amz-Target` names the operation of the JSON protocols, the
path that of rpc-v2-cbor, the form's `Action` that of query, and method, path, query and headers that of the REST ones.
The tables here spare loading a model to find out that it is not asked for; a test holds them to the models.
"""

import re
from dataclasses import dataclass, field

from clary.kernel.core.errors import AwsError
from clary.kernel.wire import sqs_query
from clary.kernel.wire.codecs import Codec, codec
from clary.kernel.wire.compiled import Compiled
from clary.kernel.wire.messages import Request
from clary.kernel.wire.models import Operation, query_service, service
from clary.kernel.wire.protocol_query import form_of
from clary.kernel.wire.rest_routes import RestRoutes, virtual_bucket

SCOPES: dict[str, tuple[str, ...]] = {
    "sagemaker": (
        "sagemaker",
        "sagemaker-runtime",
        "sagemaker-a2i-runtime",
        "sagemaker-featurestore-runtime",
        "sagemaker-metrics",
        "sagemaker-edge",
        "sagemaker-inference-router-runtime",
        "sagemakerjobruntime",
        "sagemakertrainingsessionruntime",
    ),
    "s3": ("s3",),
    "s3express": ("s3",),
    "sts": ("sts",),
    "iam": ("iam",),
    "logs": ("logs",),
    "monitoring": ("cloudwatch",),
    "ecr": ("ecr",),
    "lambda": ("lambda",),
    "sns": ("sns",),
    "sqs": ("sqs",),
    "events": ("events",),
    "scheduler": ("scheduler",),
    "application-autoscaling": ("application-autoscaling",),
    "glue": ("glue",),
    "athena": ("athena",),
    "elasticmapreduce": ("emr",),
    "kinesis": ("kinesis",),
    "firehose": ("firehose",),
    "textract": ("textract",),
    "rekognition": ("rekognition",),
}
"""Name in the credential scope -> services that sign with it."""

TARGETS = {
    "SageMaker": "sagemaker",
    "Logs_20140328": "logs",
    "GraniteServiceVersion20100801": "cloudwatch",
    "AmazonEC2ContainerRegistry_V20150921": "ecr",
    "AmazonSQS": "sqs",
    "AWSEvents": "events",
    "AnyScaleFrontendService": "application-autoscaling",
    "AWSGlue": "glue",
    "AmazonAthena": "athena",
    "ElasticMapReduce": "emr",
    "Kinesis_20131202": "kinesis",
    "Firehose_20150804": "firehose",
    "Textract": "textract",
    "RekognitionService": "rekognition",
}
"""Prefix of X-Amz-Target, and service name in an rpc-v2-cbor path -> service."""

QUERY_VERSIONS = {
    "sts": "2011-06-15",
    "iam": "2010-05-08",
    "sns": "2010-03-31",
    "cloudwatch": "2010-08-01",
    "sqs": sqs_query.API_VERSION,
}
"""Service that speaks query -> its API version, which tells unsigned requests apart."""

REST_SERVICES = frozenset((*SCOPES["sagemaker"][1:], "s3", "lambda", "scheduler"))
_CBOR_SERVICES = frozenset(("cloudwatch", "textract"))
_QUERY_SCOPES = frozenset(scope for scope, names in SCOPES.items() if not QUERY_VERSIONS.keys().isdisjoint(names))
_S3_SCOPES = frozenset(("s3", "s3express"))
_RPC_PATH = re.compile(r"/service/([A-Za-z0-9_.]+)/operation/([A-Za-z0-9_]+)")


@dataclass(slots=True)
class Match:
    """The operation asked for, the codec of the protocol it is asked in, and the URI's labels, decoded."""

    operation: Operation
    codec: Codec
    path_params: dict[str, str] = field(default_factory=dict)


_target_matches: dict[tuple[str | None, str, str], Match] = {}


def route(request: Request, signing_name: str | None, endpoint_hosts: tuple[str, ...] = ()) -> Match:
    """The operation that `request` asks for; AwsError when there is none.

    `signing_name` is None for requests without a credential scope: unsigned ones and S3's old presigned URLs.
    """
    services = SCOPES.get(signing_name) if signing_name is not None else None
    if signing_name is not None and services is None:
        raise AwsError("UnknownOperationException", f"Clary has no service {signing_name[:64]!r}.", status=404)
    headers = request.headers
    target = headers.get("x-amz-target")
    if target is not None:
        return _by_target(target, signing_name, services, headers.get("content-type", ""))
    if "smithy-protocol" in headers:
        return _by_rpc_path(request.path, services)
    if services is None:
        if request.path == "/" and _asks_by_action(request):
            return _by_action(request, None)
    elif services[0] in QUERY_VERSIONS:
        return _by_action(request, services[0])
    if services is None or services == ("s3",):
        return _s3(request, endpoint_hosts)
    return _rest(request, services)


def routes_by_body(request: Request, signing_name: str | None) -> bool:
    """Whether the operation's name may be in the body: then `route` needs the body as bytes."""
    if "x-amz-target" in request.headers or "smithy-protocol" in request.headers:
        return False
    if signing_name is None:
        return request.method == "POST" and request.path == "/" and _is_form(request)
    return signing_name in _QUERY_SCOPES


def error_codec(request: Request, signing_name: str | None) -> Codec:
    """The codec that a client most likely understands, when no operation could be found."""
    headers = request.headers
    if "x-amz-target" in headers:
        service_name = TARGETS.get(headers["x-amz-target"].partition(".")[0], "sagemaker")
        return codec(_json_codec(service_name, headers.get("content-type", "")))
    if "smithy-protocol" in headers:
        return codec("smithy-rpc-v2-cbor")
    services = SCOPES.get(signing_name or "", ())
    if signing_name in _QUERY_SCOPES:
        return codec("query")
    if signing_name is None:
        return codec("query" if request.path == "/" and _asks_by_action(request) else "rest-xml")
    if signing_name in _S3_SCOPES:
        return codec("rest-xml")
    return codec(
        "rest-json"
        if not services or services[0] == "sagemaker" or signing_name in ("lambda", "scheduler")
        else "json-1.1"
    )


def _by_target(target: str, scope: str | None, services: tuple[str, ...] | None, content_type: str) -> Match:
    prefix, _, name = target.partition(".")
    service_name = TARGETS.get(prefix)
    if service_name is None or (services is not None and service_name not in services):
        raise _unknown(target)
    protocol = _json_codec(service_name, content_type)
    key = (scope, target, protocol)
    found = _target_matches.get(key)
    if found is None:
        operations = service(service_name).operations
        if name not in operations:
            raise _unknown(target)
        found = _target_matches[key] = Match(operations[name], codec(protocol))
    return found


def _json_codec(service_name: str, content_type: str) -> str:
    if "json-1.0" in content_type:
        return "json-1.0"
    if service_name == "kinesis" and "cbor" in content_type:
        return "amz-cbor-1.1"
    return "json-1.0" if service_name in ("cloudwatch", "sqs") and "json-1.1" not in content_type else "json-1.1"


def _by_rpc_path(path: str, services: tuple[str, ...] | None) -> Match:
    parts = _RPC_PATH.fullmatch(path)
    service_name = TARGETS.get(parts[1]) if parts else None
    if parts is None or service_name not in _CBOR_SERVICES or (services is not None and service_name not in services):
        raise _unknown(path)
    operations = service(service_name).operations
    if parts[2] not in operations:
        raise _unknown(path)
    return Match(operations[parts[2]], codec("smithy-rpc-v2-cbor"))


def _by_action(request: Request, service_name: str | None) -> Match:
    asked = dict(form_of(request))
    action, version = asked.get("Action"), asked.get("Version")
    if action is None:
        raise AwsError("MissingAction", "The request is missing an action or a required parameter.", status=400)
    if service_name is None:
        service_name = next((name for name, known in QUERY_VERSIONS.items() if known == version), None)
    if service_name is not None:
        operations = query_service(service_name).operations
        if action in operations:
            # SQS takes a queue's URL for where a request is sent as well as for its QueueUrl.
            labels = {"QueueUrl": request.path} if service_name == "sqs" and request.path != "/" else {}
            return Match(operations[action], codec("query"), labels)
    raise AwsError(
        "InvalidAction",
        f"Could not find operation {action[:128]} for version {(version or 'NO_VERSION')[:32]}",
        status=400,
    )


def _asks_by_action(request: Request) -> bool:
    return "Action=" in request.query or (request.method == "POST" and _is_form(request))


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def _rest(request: Request, services: tuple[str, ...]) -> Match:
    found = _rest_routes[services].find(request, request.path)
    if found is None:
        raise AwsError(
            "UnknownOperationException", f"No operation answers {request.method} {request.path[:128]}.", status=404
        )
    operation, labels = found
    return Match(operation, codec("rest-json"), labels)


def _s3(request: Request, endpoint_hosts: tuple[str, ...]) -> Match:
    bucket = virtual_bucket(request.headers.get("host", ""), endpoint_hosts)
    path = f"/{bucket}{request.path}" if bucket else request.path
    found = _rest_routes["s3",].find(request, path)
    if found is None:
        raise AwsError("MethodNotAllowed", "The specified method is not allowed against this resource.", status=405)
    operation, labels = found
    return Match(operation, codec("rest-xml"), labels)


def _compile_routes(services: tuple[str, ...]) -> RestRoutes:
    rest = [service(name) for name in services if name in REST_SERVICES]
    return RestRoutes([operation for each in rest for operation in each.operations.values()])


_rest_routes: Compiled[tuple[str, ...], RestRoutes] = Compiled(_compile_routes)


def _unknown(what: str) -> AwsError:
    return AwsError("UnknownOperationException", f"There is no operation {what[:128]!r}.", status=400)
