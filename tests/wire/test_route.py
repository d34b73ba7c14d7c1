"""From a request to its operation: scopes, targets, actions, URIs, virtual hosts."""

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.wire import SERVICES, Request, error_codec, route, routes_by_body, service
from clary.kernel.wire.route import QUERY_VERSIONS, REST_SERVICES, SCOPES, TARGETS

FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


def found(request: Request, scope: str | None, hosts: tuple[str, ...] = ()) -> tuple[str, dict[str, str]]:
    match = route(request, scope, hosts)
    return f"{match.operation.service.name}.{match.operation.name}", match.path_params


def refused(request: Request, scope: str | None) -> tuple[str, int | None]:
    with pytest.raises(AwsError) as caught:
        route(request, scope)
    return caught.value.code, caught.value.status


def s3(method: str, target: str, **headers: str) -> str:
    path, _, query = target.partition("?")
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return found(Request(method, path, query, named), "s3")[0].removeprefix("s3.")


def test_the_tables_say_what_the_models_say() -> None:
    assert {name for names in SCOPES.values() for name in names} == set(SERVICES)
    for scope, names in SCOPES.items():
        assert {service(name).signing_name for name in names} == {"s3" if scope == "s3express" else scope}
    assert {service(name).target_prefix: name for name in SERVICES if service(name).target_prefix} == TARGETS
    query = {name: service(name).api_version for name in SERVICES if "query" in service(name).protocols}
    assert {**query, "sqs": service("sqs").api_version} == QUERY_VERSIONS
    assert {name for name in SERVICES if service(name).protocols[0].startswith("rest")} == REST_SERVICES


def test_the_scope_decides_where_paths_collide() -> None:
    request = Request("GET", "/FeatureGroup/customers", "RecordIdentifierValueAsString=7")
    assert found(request, "sagemaker") == (
        "sagemaker-featurestore-runtime.GetRecord",
        {"FeatureGroupName": "customers"},
    )
    assert found(request, "s3") == ("s3.GetObject", {"Bucket": "FeatureGroup", "Key": "customers"})


def test_services_that_share_a_scope() -> None:
    assert (
        found(Request("POST", "/", "", {"x-amz-target": "SageMaker.ListModels"}), "sagemaker")[0]
        == "sagemaker.ListModels"
    )
    for path, name in {
        "/endpoints/e%201/invocations": "sagemaker-runtime.InvokeEndpoint",
        "/endpoints/e/async-invocations": "sagemaker-runtime.InvokeEndpointAsync",
        "/human-loops": "sagemaker-a2i-runtime.StartHumanLoop",
        "/BatchGetRecord": "sagemaker-featurestore-runtime.BatchGetRecord",
    }.items():
        assert found(Request("POST", path), "sagemaker")[0] == name
    assert found(Request("PUT", "/BatchPutMetrics"), "sagemaker")[0] == "sagemaker-metrics.BatchPutMetrics"
    assert found(Request("POST", "/endpoints/e%201/invocations"), "sagemaker")[1] == {"EndpointName": "e 1"}


@pytest.mark.parametrize(
    ("method", "target", "operation"),
    [
        ("GET", "/", "ListBuckets"),
        ("PUT", "/b", "CreateBucket"),
        ("PUT", "/b/", "CreateBucket"),
        ("HEAD", "/b", "HeadBucket"),
        ("HEAD", "/b/k", "HeadObject"),
        ("GET", "/b", "ListObjects"),
        ("GET", "/b/?list-type=2&prefix=a", "ListObjectsV2"),
        ("GET", "/b?list-type=1", "ListObjects"),
        ("GET", "/b?acl", "GetBucketAcl"),
        ("GET", "/b?acl=", "GetBucketAcl"),
        ("GET", "/b/k?acl", "GetObjectAcl"),
        ("GET", "/b?uploads", "ListMultipartUploads"),
        ("POST", "/b/k?uploads", "CreateMultipartUpload"),
        ("POST", "/b/k?uploadId=u", "CompleteMultipartUpload"),
        ("DELETE", "/b/k?uploadId=u", "AbortMultipartUpload"),
        ("DELETE", "/b/k", "DeleteObject"),
        ("GET", "/b/k?uploadId=u", "ListParts"),
        ("PUT", "/b/k?partNumber=1&uploadId=u", "UploadPart"),
        ("PUT", "/b/k", "PutObject"),
        ("PUT", "/b/k?x-id=PutObject", "PutObject"),
        ("GET", "/b/k?x-id=GetObject", "GetObject"),
        ("POST", "/b?delete", "DeleteObjects"),
        ("POST", "/b/k?select&select-type=2", "SelectObjectContent"),
        ("GET", "/b?analytics&id=x", "GetBucketAnalyticsConfiguration"),
        ("GET", "/b?analytics", "ListBucketAnalyticsConfigurations"),
        ("DELETE", "/b?analytics", "DeleteBucketAnalyticsConfiguration"),
        ("GET", "/b/k?attributes", "GetObjectAttributes"),
        ("GET", "/b?lifecycle", "GetBucketLifecycleConfiguration"),
        ("GET", "/b?versions", "ListObjectVersions"),
        ("GET", "/b/dir/", "GetObject"),
        ("GET", "/b//k", "GetObject"),
    ],
)
def test_s3_tells_operations_apart_by_method_path_and_query(method: str, target: str, operation: str) -> None:
    assert s3(method, target) == operation


def test_s3_tells_operations_apart_by_headers() -> None:
    assert s3("PUT", "/b/k", x_amz_copy_source="/b/other") == "CopyObject"
    assert s3("PUT", "/b/k?partNumber=1&uploadId=u", x_amz_copy_source="/b/other") == "UploadPartCopy"


def test_s3_keys_are_decoded_once_and_kept_whole() -> None:
    assert found(Request("GET", "/b/a%2Fb%20c%2520/%C3%BC+//x/"), "s3")[1]["Key"] == "a/b c%20/ü+//x/"
    assert found(Request("GET", b"/b/%C3%BC".decode("latin-1")), "s3")[1]["Key"] == "ü"
    assert refused(Request("GET", "/b/%ff"), "s3") == ("InvalidURI", 400)


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("localhost:4566", None),
        ("127.0.0.1:4566", None),
        ("[::1]:4566", None),
        ("photos.localhost:4566", "photos"),
        ("my.photos.localhost", "my.photos"),
        ("s3.localhost", None),
        ("photos.s3.localhost", "photos"),
        ("clary.example.org", None),
        ("photos.clary.example.org", "photos"),
        ("photos.s3.us-east-1.amazonaws.com", "photos"),
        ("my.photos.s3-accelerate.amazonaws.com", "my.photos"),
        ("s3.us-east-1.amazonaws.com", None),
        ("s3.amazonaws.com", None),
    ],
)
def test_s3_buckets_in_the_host_name(host: str, bucket: str | None) -> None:
    request = Request("GET", "/a/b", "", {"host": host})
    _, labels = found(request, "s3", ("clary.example.org",))
    assert labels == ({"Bucket": bucket, "Key": "a/b"} if bucket else {"Bucket": "a", "Key": "b"})
    if bucket:
        assert found(Request("GET", "/", "", {"host": host}), "s3", ("clary.example.org",)) == (
            "s3.ListObjects",
            {"Bucket": bucket},
        )


def test_cloudwatch_answers_in_the_protocol_it_is_asked_in() -> None:
    target = {"x-amz-target": "GraniteServiceVersion20100801.ListMetrics", "content-type": "application/x-amz-json-1.0"}
    rpc = Request(
        "POST",
        "/service/GraniteServiceVersion20100801/operation/ListMetrics",
        "",
        {"smithy-protocol": "rpc-v2-cbor", "content-type": "application/cbor"},
    )
    form = Request("POST", "/", "", FORM, b"Action=ListMetrics&Version=2010-08-01")
    for request, protocol in (
        (Request("POST", "/", "", target), "json-1.0"),
        (rpc, "smithy-rpc-v2-cbor"),
        (form, "query"),
    ):
        match = route(request, "monitoring")
        assert (match.operation.name, match.codec.name) == ("ListMetrics", protocol)


def test_kinesis_speaks_cbor_too() -> None:
    headers = {"x-amz-target": "Kinesis_20131202.PutRecord", "content-type": "application/x-amz-cbor-1.1"}
    assert route(Request("POST", "/", "", headers), "kinesis").codec.name == "amz-cbor-1.1"


def test_requests_without_a_scope() -> None:
    assume = b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
    assert found(Request("POST", "/", "", FORM, assume), None)[0] == "sts.AssumeRoleWithWebIdentity"
    assert found(Request("GET", "/", "Action=GetCallerIdentity&Version=2011-06-15"), None)[0] == "sts.GetCallerIdentity"
    assert found(Request("GET", "/b/k", "AWSAccessKeyId=x"), None)[0] == "s3.GetObject"
    assert found(Request("POST", "/", "", {"x-amz-target": "AWSGlue.GetTables"}), None)[0] == "glue.GetTables"


def test_when_a_body_is_needed_to_route() -> None:
    assert routes_by_body(Request("POST", "/", "", FORM), "iam")
    assert routes_by_body(Request("POST", "/", "", FORM), "monitoring")
    assert not routes_by_body(
        Request("POST", "/", "", {"x-amz-target": "GraniteServiceVersion20100801.X"}), "monitoring"
    )
    assert routes_by_body(Request("POST", "/", "", FORM), None)
    assert not routes_by_body(Request("PUT", "/b/k", "", FORM), None)
    assert not routes_by_body(Request("POST", "/", "", FORM), "s3")


def test_what_matches_nothing() -> None:
    unknown = "UnknownOperationException"
    assert refused(Request("POST", "/", "", {"x-amz-target": "SageMaker.Nope"}), "sagemaker") == (unknown, 400)
    assert refused(Request("POST", "/", "", {"x-amz-target": "Kinesis_20131202.PutRecord"}), "sagemaker") == (
        unknown,
        400,
    )
    assert refused(Request("GET", "/nowhere"), "sagemaker") == (unknown, 404)
    assert refused(Request("GET", "/2015-03-31/nowhere"), "lambda") == (unknown, 404)
    assert refused(Request("GET", "/"), "ec2") == (unknown, 404)
    assert refused(Request("PATCH", "/b"), "s3") == ("MethodNotAllowed", 405)
    assert refused(Request("POST", "/", "", FORM, b"Action=Nope&Version=2010-05-08"), "iam") == ("InvalidAction", 400)
    assert refused(Request("POST", "/", "", FORM, b"Version=2010-05-08"), "iam") == ("MissingAction", 400)
    assert refused(
        Request("POST", "/service/Nope/operation/X", "", {"smithy-protocol": "rpc-v2-cbor"}), "monitoring"
    ) == (
        unknown,
        400,
    )


@pytest.mark.parametrize(
    ("request_", "scope", "protocol"),
    [
        (Request("POST", "/", "", {"x-amz-target": "AmazonSQS.Nope"}), "sqs", "json-1.0"),
        (Request("POST", "/", "", {"x-amz-target": "Nope.Nope"}), None, "json-1.1"),
        (Request("POST", "/x", "", {"smithy-protocol": "rpc-v2-cbor"}), "monitoring", "smithy-rpc-v2-cbor"),
        (Request("POST", "/", "", FORM), "iam", "query"),
        (Request("POST", "/", "", FORM), None, "query"),
        (Request("GET", "/b"), None, "rest-xml"),
        (Request("GET", "/b"), "s3", "rest-xml"),
        (Request("GET", "/b"), "sagemaker", "rest-json"),
        (Request("GET", "/b"), "glue", "json-1.1"),
        (Request("GET", "/b"), "ec2", "rest-json"),
    ],
)
def test_errors_before_an_operation_is_known(request_: Request, scope: str | None, protocol: str) -> None:
    assert error_codec(request_, scope).name == protocol
    response = error_codec(request_, scope).serialize_error(None, "UnknownOperationException", "no", 404, None, "r-1")
    assert response.status == 404
    assert b"UnknownOperationException" in response.body or response.header("x-amzn-errortype")
