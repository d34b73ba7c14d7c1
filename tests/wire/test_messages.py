"""What one protocol has and others lack: CBOR of Java clients, compression, S3's documents; and times, and safety."""

import gzip
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import cbor2
import pytest
from tests.wire.botocore_side import parsed, service_model
from tests.wire.samples import Samples

from clary.kernel.core.errors import AwsError
from clary.kernel.wire import SERVICES, Encoded, OutputError, Plain, Request, Response, check, route, service
from clary.kernel.wire.codecs import codec
from clary.kernel.wire.scalars import iso8601, read_timestamp

CBOR = {"content-type": "application/x-amz-cbor-1.1"}


def kinesis(operation: str, body: Any) -> Request:
    headers = {**CBOR, "x-amz-target": f"Kinesis_20131202.{operation}"}
    return Request("POST", "/", "", headers, cbor2.dumps(body))


def params_of(request: Request, scope: str | None) -> dict[str, Any]:
    match = route(request, scope)
    return match.codec.parse(match.operation, request, match.path_params)


def test_a_list_that_is_json_already_is_written_as_it_is_and_read_by_who_asks() -> None:
    operation = service("sagemaker-featurestore-runtime").operations["GetRecord"]
    encoded = Encoded(b'[ {"FeatureName":"a","ValueAsString":"1"} ]')
    body = codec("rest-json").serialize(operation, {"Record": encoded}, "id").body
    assert body == b'{"Record":[ {"FeatureName":"a","ValueAsString":"1"} ]}'
    assert (list(encoded), len(encoded), encoded[0]["FeatureName"]) == (json.loads(encoded.json), 1, "a")
    assert encoded == [{"FeatureName": "a", "ValueAsString": "1"}]


@pytest.mark.parametrize("protocol", ["json-1.1", "amz-cbor-1.1"])
def test_plain_structures_are_written_like_others(protocol: str) -> None:
    operation = service("kinesis").operations["GetRecords"]
    records = [
        {"Data": bytes(range(size)), "PartitionKey": 'p"é', "SequenceNumber": "1", "ApproximateArrivalTimestamp": 1.25}
        for size in (0, 1, 200)
    ]
    looked_at, plain = (
        codec(protocol).serialize(operation, {"Records": given, "MillisBehindLatest": 0}, "id").body
        for given in (records, Plain(records))
    )
    assert plain == looked_at
    with pytest.raises(OutputError):
        codec(protocol).serialize(operation, {"Records": Plain([{"Data": object()}])}, "id")


class TestKinesisCbor:
    def test_blobs_are_bytes_and_times_milliseconds(self) -> None:
        request = kinesis("PutRecord", {"StreamName": "s", "Data": b"\x00\xff", "PartitionKey": "p"})
        assert params_of(request, "kinesis") == {"StreamName": "s", "Data": b"\x00\xff", "PartitionKey": "p"}
        at = {"ShardId": "shardId-0", "ShardIteratorType": "AT_TIMESTAMP", "StreamName": "s"}
        request = kinesis("GetShardIterator", {**at, "Timestamp": cbor2.CBORTag(1, 1_700_000_000_123)})
        assert params_of(request, "kinesis")["Timestamp"] == 1_700_000_000.123

    def test_answers_and_errors(self) -> None:
        records = [{"Data": b"\xff", "PartitionKey": "p", "SequenceNumber": "1", "ApproximateArrivalTimestamp": 1.5}]
        operation = service("kinesis").operations["GetRecords"]
        response = codec("amz-cbor-1.1").serialize(operation, {"Records": records}, "r-1")
        assert response.header("content-type") == "application/x-amz-cbor-1.1"
        record = cbor2.loads(response.body, semantic_decoders={1: lambda value, _: ("time", value)})["Records"][0]
        assert (record["Data"], record["ApproximateArrivalTimestamp"]) == (b"\xff", ("time", 1500))
        error = codec("amz-cbor-1.1").serialize_error(operation, "ExpiredIteratorException", "old", None, None, "r-1")
        assert (error.status, cbor2.loads(error.body)) == (
            400,
            {"__type": "ExpiredIteratorException", "message": "old"},
        )

    def test_every_operation_survives_the_round_trip(self) -> None:
        for operation in service("kinesis").operations.values():
            if operation.input is None:
                continue
            params = Samples().structure(operation.input)
            request = kinesis(operation.name, _millis(params))
            assert params_of(request, "kinesis") == params

    @pytest.mark.parametrize(
        "body",
        [
            b"\xd8\x1c\x81\xd8\x1d\x00",  # a list that holds itself
            b"\x81" * 5000,
            b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            cbor2.dumps([1]),
            cbor2.dumps({"Data": "text"}),
            cbor2.dumps({"Data": cbor2.CBORTag(35, "(a+)+")}),
            b"\xf7",
            b"\xa1\x81\x01\x01",
        ],
    )
    def test_hostile_bodies_are_refused(self, body: bytes) -> None:
        headers = {**CBOR, "x-amz-target": "Kinesis_20131202.PutRecord"}
        with pytest.raises(AwsError) as caught:
            params_of(Request("POST", "/", "", headers, body), "kinesis")
        assert caught.value.code == "SerializationException"


def _millis(value: Any) -> Any:
    """Samples with their times as the Java client writes them."""
    if isinstance(value, dict):
        return {key: _millis(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_millis(item) for item in value]
    return cbor2.CBORTag(1, int(value * 1000)) if isinstance(value, float) and value > 1e9 else value


class TestCompression:
    def put_metric_data(self, body: bytes) -> dict[str, Any]:
        headers = {"content-type": "application/x-www-form-urlencoded", "content-encoding": "gzip"}
        return params_of(Request("POST", "/", "", headers, body), "monitoring")

    def test_bodies_may_be_compressed(self) -> None:
        form = b"Action=PutMetricData&Version=2010-08-01&Namespace=n"
        assert self.put_metric_data(gzip.compress(form)) == {"Namespace": "n"}
        headers = {"x-amz-target": "SageMaker.ListModels", "content-encoding": "gzip"}
        assert params_of(Request("POST", "/", "", headers, gzip.compress(b'{"MaxResults": 3}')), "sagemaker") == {
            "MaxResults": 3
        }

    def test_bombs_and_noise_are_refused(self) -> None:
        with pytest.raises(AwsError, match="RequestEntityTooLarge"):
            self.put_metric_data(gzip.compress(b"a" * (65 * 1024 * 1024), 1))
        with pytest.raises(AwsError, match="SerializationException"):
            self.put_metric_data(b"not gzip")

    def test_an_objects_own_encoding_is_its_own(self) -> None:
        request = Request("PUT", "/b/k", "", {"content-encoding": "gzip"}, b"anything")
        assert params_of(request, "s3")["Body"] == b"anything"


class TestS3:
    def answer(self, operation: str, output: dict[str, Any]) -> Response:
        return codec("rest-xml").serialize(service("s3").operations[operation], output, "r-1")

    def test_the_location_is_the_text_of_the_root(self) -> None:
        body = self.answer("GetBucketLocation", {"LocationConstraint": "eu-west-1"}).body
        assert body.endswith(
            b'<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">eu-west-1</LocationConstraint>'
        )
        assert b"/></" not in self.answer("GetBucketLocation", {}).body

    def test_roots_are_those_clients_look_for(self) -> None:
        listing = self.answer(
            "ListObjectsV2", {"Name": "b", "Contents": [{"Key": "a&b", "LastModified": 0, "Size": 1}]}
        )
        assert listing.header("content-type") == "application/xml"
        assert listing.body == (
            b'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            b"<Name>b</Name><Contents><Key>a&amp;b</Key><LastModified>1970-01-01T00:00:00.000Z</LastModified>"
            b"<Size>1</Size></Contents></ListBucketResult>"
        )
        assert b"<CopyObjectResult xmlns=" in self.answer("CopyObject", {"CopyObjectResult": {"ETag": '"e"'}}).body

    def test_grantees_carry_their_type_as_an_attribute(self) -> None:
        grants = {"Grants": [{"Grantee": {"Type": "Group", "URI": 'a"<'}, "Permission": "READ"}]}
        body = self.answer("GetObjectAcl", grants).body
        assert b'<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group">' in body

    def test_errors_have_no_namespace_and_name_the_resource(self) -> None:
        operation = service("s3").operations["GetObject"]
        members = {"Resource": "/b/k&", "Key": "k&"}
        response = codec("rest-xml").serialize_error(operation, "NoSuchKey", "no", None, members, "r-1")
        assert response.status == 404
        assert b"<Error><Code>NoSuchKey</Code><Message>no</Message><Resource>/b/k&amp;</Resource>" in response.body
        assert b"<RequestId>r-1</RequestId><HostId>" in response.body
        found = parsed(response, None, "rest-xml")
        assert (found["Error"]["Code"], found["Error"]["Key"]) == ("NoSuchKey", "k&")
        assert found["ResponseMetadata"]["HostId"] == response.header("x-amz-id-2")

    def test_head_answers_have_no_body_and_keep_the_objects_length(self) -> None:
        operation = service("s3").operations["HeadObject"]
        missing = codec("rest-xml").serialize_error(operation, "NoSuchKey", "no", None, None, "r-1")
        assert (missing.status, missing.body, missing.header("content-length")) == (404, b"", None)
        response = codec("rest-xml").serialize(operation, {"ContentLength": 1234, "LastModified": 0}, "r-1")
        assert (response.header("content-length"), response.header("last-modified")) == (
            "1234",
            "Thu, 01 Jan 1970 00:00:00 GMT",
        )

    def test_streams_are_handed_through(self) -> None:
        body = object()
        response = self.answer("GetObject", {"Body": body, "ContentLength": 5, "Metadata": {"Colour": "rot"}})
        assert response.body is body
        assert (response.header("content-length"), response.header("x-amz-meta-colour")) == ("5", "rot")
        request = Request("PUT", "/b/k", "", {"x-amz-meta-colour": "grün".encode().decode("latin-1")}, body)
        match = route(request, "s3")
        assert match.operation.streaming_input == "Body"
        params = match.codec.parse(match.operation, request, match.path_params)
        assert (params["Body"], params["Metadata"]) == (body, {"colour": "grün"})
        check(match.operation, params)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<Delete><Object>",
            b"text",
            b"<Other/>",
            b'<!DOCTYPE d [<!ENTITY a "b">]><Delete>&a;</Delete>',
            b'<!DOCTYPE d SYSTEM "file:///etc/passwd"><Delete/>',
            b"<Delete>" * 5000,
            b'<?xml version="1.0" encoding="nope"?><Delete/>',
            b"<Delete><Object><Key>\x00</Key></Object></Delete>",
            b"<Delete><Quiet>maybe</Quiet></Delete>",
        ],
    )
    def test_hostile_xml_is_refused(self, body: bytes) -> None:
        request = Request("POST", "/b", "delete", {}, body)
        match = route(request, "s3")
        with pytest.raises(AwsError) as caught:
            check(match.operation, match.codec.parse(match.operation, request, match.path_params))
        assert caught.value.code in ("MalformedXML", "MissingRequestBodyError")


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("2024-05-01T12:00:00Z", 1714564800.0),
            ("2024-05-01T12:00:00.250Z", 1714564800.25),
            ("2024-05-01T14:00:00+02:00", 1714564800.0),
            ("2024-05-01T12:00:00", 1714564800.0),
            ("Wed, 01 May 2024 12:00:00 GMT", 1714564800.0),
            ("1714564800", 1714564800.0),
            ("1714564800.5", 1714564800.5),
        ],
    )
    def test_every_notation_is_read(self, text: str, seconds: float) -> None:
        assert read_timestamp(text) == seconds

    @pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01", "1e400", "99999999999999", "٢٠٢٤-05-01T00:00:00Z"])
    def test_nonsense_is_not(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not a"):
            read_timestamp(text)

    def test_datetimes_and_numbers_are_written_alike(self) -> None:
        moment = datetime(2024, 5, 1, 12, tzinfo=UTC)
        same = [moment, moment.replace(tzinfo=None), moment.astimezone(timezone(timedelta(hours=5))), 1714564800]
        assert {iso8601(value) for value in same} == {"2024-05-01T12:00:00Z"}
        assert iso8601(1714564800.2509) == "2024-05-01T12:00:00.251Z"
        with pytest.raises(TypeError):
            iso8601(True)

    def test_json_numbers_out_of_any_calendar_are_refused(self) -> None:
        headers = {"x-amz-target": "SageMaker.ListModels"}
        for value in ("1e300", "-1e300", '"NaN"', "true", "{}"):
            body = b'{"CreationTimeAfter": %s}' % value.encode()
            with pytest.raises(AwsError, match="CreationTimeAfter"):
                params_of(Request("POST", "/", "", headers, body), "sagemaker")


class TestSafety:
    def test_header_values_cannot_end_a_header(self) -> None:
        operation = service("s3").operations["GetObject"]
        output = {"ContentDisposition": "a\r\nset-cookie: x", "Metadata": {"k\r\nx": "v\n\x00w"}}
        response = codec("rest-xml").serialize(operation, output, "r-1")
        assert all(b"\r" not in key + value and b"\n" not in key + value for key, value in response.headers)
        assert response.header("content-disposition") == "a set-cookie: x"

    def test_outputs_that_do_not_fit_are_our_fault(self) -> None:
        operation = service("sagemaker").operations["ListModels"]
        with pytest.raises(OutputError, match="no member 'Nope'"):
            codec("json-1.1").serialize(operation, {"Models": [{"Nope": 1}]}, "r-1")
        with pytest.raises(OutputError, match="JSON"):
            codec("json-1.1").serialize(operation, {"NextToken": object()}, "r-1")
        listing = service("s3").operations["ListObjects"]
        with pytest.raises(OutputError, match="no member 'Nope'"):
            codec("rest-xml").serialize(listing, {"Contents": [{"Nope": 1}]}, "r-1")

    def test_absent_members_are_left_out(self) -> None:
        operation = service("sagemaker").operations["ListModels"]
        response = codec("json-1.1").serialize(operation, {"Models": [{"ModelName": None}], "NextToken": None}, "r-1")
        assert json.loads(response.body) == {"Models": [{}]}

    def test_members_the_model_lacks_are_dropped_and_nulls_too(self) -> None:
        headers = {"x-amz-target": "SageMaker.CreateModel"}
        body = b'{"ModelName": "m", "Nope": 1, "VpcConfig": null, "PrimaryContainer": {"Image": "i", "Nope": 2}}'
        assert params_of(Request("POST", "/", "", headers, body), "sagemaker") == {
            "ModelName": "m",
            "PrimaryContainer": {"Image": "i"},
        }

    def test_unmodelled_errors_are_written_in_every_protocol(self) -> None:
        for name in SERVICES:
            for protocol in service(name).protocols:
                operation = next(iter(service(name).operations.values()))
                made = codec(f"json-{service(name).json_version}" if protocol == "json" else protocol)
                response = made.serialize_error(operation, "OddThing", "why", 418, {"x": 1}, "r-1")
                found = parsed(response, service_model(name).operation_model(operation.name).output_shape, protocol)
                assert (response.status, found["Error"]["Code"], found["Error"]["Message"]) == (418, "OddThing", "why")
