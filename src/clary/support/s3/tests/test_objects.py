"""Objects through a real client."""

import base64
import hashlib
import io
import os
import urllib.request
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from clary.testing import Server

LARGE = os.urandom(200_000)


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("body", [b"", b"hello", LARGE], ids=len)
def test_what_was_put_comes_back_with_all_that_was_said_of_it(s3: Any, bucket: str, body: bytes) -> None:
    expires = datetime(2030, 1, 1, tzinfo=UTC)
    stored = s3.put_object(
        Bucket=bucket,
        Key="a/ö b+c",
        Body=body,
        ContentType="text/csv",
        ContentEncoding="gzip",
        CacheControl="no-cache",
        ContentDisposition="inline",
        ContentLanguage="de",
        Expires=expires,
        Metadata={"name": "value"},
        Tagging="a=1&b=2",
        StorageClass="STANDARD_IA",
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId="key",
    )
    found = s3.get_object(Bucket=bucket, Key="a/ö b+c", ChecksumMode="ENABLED")
    assert found["Body"].read() == body
    head = s3.head_object(Bucket=bucket, Key="a/ö b+c", ChecksumMode="ENABLED")
    for told in (found, head):
        assert told["ETag"] == stored["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
        assert told["ChecksumCRC32"] == base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
        assert told["ContentLength"] == len(body)
        assert told["ContentType"] == "text/csv"
        assert told["ContentEncoding"] == "gzip"
        assert told["CacheControl"] == "no-cache"
        assert told["ContentDisposition"] == "inline"
        assert told["ContentLanguage"] == "de"
        assert told["ExpiresString"] == "Tue, 01 Jan 2030 00:00:00 GMT"
        assert told["Metadata"] == {"name": "value"}
        assert told["TagCount"] == 2
        assert told["StorageClass"] == "STANDARD_IA"
        assert told["ServerSideEncryption"] == "aws:kms"
        assert told["SSEKMSKeyId"] == "key"
        assert abs(told["LastModified"] - datetime.now(UTC)) < timedelta(minutes=5)  # noqa: TID251
        assert "VersionId" not in told


def test_the_default_content_type_is_s3s(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"")
    assert s3.head_object(Bucket=bucket, Key="a")["ContentType"] == "binary/octet-stream"
    overridden = s3.get_object(Bucket=bucket, Key="a", ResponseContentType="text/x", ResponseCacheControl="no-store")
    assert (overridden["ContentType"], overridden["CacheControl"]) == ("text/x", "no-store")


def test_missing_things_are_told_as_s3_does(s3: Any, bucket: str, unique: Callable[[str], str]) -> None:
    assert refusal(s3.get_object, Bucket=bucket, Key="none") == ("NoSuchKey", 404)
    assert refusal(s3.head_object, Bucket=bucket, Key="none") == ("404", 404)
    assert refusal(s3.get_object, Bucket=unique("none"), Key="a") == ("NoSuchBucket", 404)
    assert refusal(s3.put_object, Bucket=unique("none"), Key="a", Body=b"") == ("NoSuchBucket", 404)
    assert refusal(s3.put_object, Bucket=bucket, Key="k" * 1025, Body=b"") == ("KeyTooLongError", 400)
    assert s3.delete_object(Bucket=bucket, Key="none")["ResponseMetadata"]["HTTPStatusCode"] == 204


@pytest.mark.parametrize("size", [1000, 200_000])
def test_ranges(s3: Any, bucket: str, size: int) -> None:
    body = LARGE[:size]
    s3.put_object(Bucket=bucket, Key="a", Body=body)
    for text, part in (
        ("bytes=0-0", body[:1]),
        ("bytes=10-19", body[10:20]),
        ("bytes=900-", body[900:]),
        (f"bytes=900-{size + 99}", body[900:]),
        ("bytes=-7", body[-7:]),
        (f"bytes=-{size + 1}", body),
    ):
        found = s3.get_object(Bucket=bucket, Key="a", Range=text, ChecksumMode="ENABLED")
        assert found["Body"].read() == part
        assert found["ResponseMetadata"]["HTTPStatusCode"] == 206
        start = body.index(part) if len(part) > 1 else 0
        assert found["ContentRange"] == f"bytes {start}-{start + len(part) - 1}/{size}"
        assert s3.head_object(Bucket=bucket, Key="a", Range=text)["ContentLength"] == len(part)
    for text in ("bytes=5-1", "lines=1-2", "bytes=a-b", "bytes=1-2,4-5"):
        assert s3.get_object(Bucket=bucket, Key="a", Range=text)["ContentLength"] == size
    assert refusal(s3.get_object, Bucket=bucket, Key="a", Range=f"bytes={size}-") == ("InvalidRange", 416)


def test_conditional_reads(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="a", Body=b"1")["ETag"]
    now = s3.head_object(Bucket=bucket, Key="a")["LastModified"]
    hour = timedelta(hours=1)
    for good in (
        {"IfMatch": etag},
        {"IfNoneMatch": '"x"'},
        {"IfModifiedSince": now - hour},
        {"IfUnmodifiedSince": now},
    ):
        assert s3.get_object(Bucket=bucket, Key="a", **good)["Body"].read() == b"1"
    assert s3.get_object(Bucket=bucket, Key="a", IfMatch=etag, IfUnmodifiedSince=now - hour)["Body"].read() == b"1"
    for same in ({"IfNoneMatch": etag}, {"IfModifiedSince": now}, {"IfNoneMatch": "*"}):
        assert refusal(s3.get_object, Bucket=bucket, Key="a", **same) == ("304", 304)
        assert refusal(s3.head_object, Bucket=bucket, Key="a", **same) == ("304", 304)
    for other in ({"IfMatch": '"x"'}, {"IfUnmodifiedSince": now - hour}):
        assert refusal(s3.get_object, Bucket=bucket, Key="a", **other) == ("PreconditionFailed", 412)


def test_conditional_writes(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="a", Body=b"1", IfNoneMatch="*")["ETag"]
    put = s3.put_object
    assert refusal(put, Bucket=bucket, Key="a", Body=b"2", IfNoneMatch="*") == ("PreconditionFailed", 412)
    assert refusal(put, Bucket=bucket, Key="a", Body=b"2", IfMatch='"x"') == ("PreconditionFailed", 412)
    assert refusal(put, Bucket=bucket, Key="b", Body=b"2", IfMatch=etag) == ("NoSuchKey", 404)
    assert refusal(put, Bucket=bucket, Key="a", Body=b"2", IfNoneMatch=etag) == ("NotImplemented", 501)
    put(Bucket=bucket, Key="a", Body=b"3", IfMatch=etag)
    assert refusal(s3.delete_object, Bucket=bucket, Key="a", IfMatch=etag) == ("PreconditionFailed", 412)
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"3"


def test_bodies_that_are_not_as_claimed_are_refused(s3: Any, bucket: str) -> None:
    wrong = base64.b64encode(bytes(16)).decode()
    assert refusal(s3.put_object, Bucket=bucket, Key="a", Body=b"1", ContentMD5=wrong)[0] == "BadDigest"
    assert refusal(s3.put_object, Bucket=bucket, Key="a", Body=b"1", ContentMD5="x")[0] == "InvalidDigest"
    assert refusal(s3.put_object, Bucket=bucket, Key="a", Body=b"1", ChecksumSHA1="AAAA")[0] == "InvalidRequest"
    other = base64.b64encode(hashlib.sha256(b"2").digest()).decode()
    assert refusal(s3.put_object, Bucket=bucket, Key="a", Body=b"1", ChecksumSHA256=other)[0] == "BadDigest"
    assert refusal(s3.get_object, Bucket=bucket, Key="a") == ("NoSuchKey", 404)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums_of_every_kind_a_client_can_make(s3: Any, bucket: str, algorithm: str) -> None:
    stored = s3.put_object(Bucket=bucket, Key="a", Body=LARGE, ChecksumAlgorithm=algorithm)
    found = s3.get_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
    assert found["Body"].read() == LARGE
    assert found[f"Checksum{algorithm}"] == stored[f"Checksum{algorithm}"]
    assert found["ChecksumType"] == "FULL_OBJECT"


def test_a_refused_body_does_not_spoil_the_connection(s3: Any, bucket: str) -> None:
    for size in (1, 100_000, 3_000_000):
        body = LARGE[:1] * size
        assert (
            refusal(s3.put_object, Bucket=bucket, Key="a", Body=body, StorageClass="WARM")[0] == "InvalidStorageClass"
        )
        s3.put_object(Bucket=bucket, Key="a", Body=body)


def test_deleting_many_tells_of_each_unless_quiet(s3: Any, bucket: str) -> None:
    for key in ("a", "b", "c & <d>"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    told = s3.delete_objects(
        Bucket=bucket,
        Delete={"Objects": [{"Key": "a"}, {"Key": "c & <d>"}, {"Key": "none"}, {"Key": "b", "ETag": '"x"'}]},
    )
    assert [entry["Key"] for entry in told["Deleted"]] == ["a", "c & <d>", "none"]
    assert [(entry["Key"], entry["Code"]) for entry in told["Errors"]] == [("b", "PreconditionFailed")]
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "b"}], "Quiet": True})
    assert "Deleted" not in quiet
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    too_many = {"Objects": [{"Key": str(n)} for n in range(1001)]}
    assert refusal(s3.delete_objects, Bucket=bucket, Delete=too_many) == ("MalformedXML", 400)


@pytest.mark.parametrize("body", [b"small", LARGE], ids=len)
def test_copies_keep_or_replace_what_is_said_of_the_object(s3: Any, bucket: str, body: bytes) -> None:
    s3.put_object(Bucket=bucket, Key="a b", Body=body, ContentType="text/a", Metadata={"m": "1"}, Tagging="t=1")
    source = {"Bucket": bucket, "Key": "a b"}
    kept = s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)
    assert kept["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    found = s3.get_object(Bucket=bucket, Key="kept")
    assert (found["Body"].read(), found["ContentType"], found["Metadata"]) == (body, "text/a", {"m": "1"})
    assert s3.get_object_tagging(Bucket=bucket, Key="kept")["TagSet"] == [{"Key": "t", "Value": "1"}]
    s3.copy_object(
        Bucket=bucket,
        Key="new",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"m": "2"},
        ContentType="text/b",
        TaggingDirective="REPLACE",
        Tagging="u=2",
        ChecksumAlgorithm="SHA256",
    )
    found = s3.get_object(Bucket=bucket, Key="new", ChecksumMode="ENABLED")
    assert (found["Body"].read(), found["ContentType"], found["Metadata"]) == (body, "text/b", {"m": "2"})
    assert found["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(body).digest()).decode()
    assert s3.get_object_tagging(Bucket=bucket, Key="new")["TagSet"] == [{"Key": "u", "Value": "2"}]
    assert refusal(s3.copy_object, Bucket=bucket, Key="a b", CopySource=source) == ("InvalidRequest", 400)
    s3.copy_object(Bucket=bucket, Key="a b", CopySource=source, MetadataDirective="REPLACE", Metadata={"m": "3"})
    assert s3.head_object(Bucket=bucket, Key="a b")["Metadata"] == {"m": "3"}
    wrong = {"CopySourceIfMatch": '"x"'}
    assert refusal(s3.copy_object, Bucket=bucket, Key="c", CopySource=source, **wrong) == ("PreconditionFailed", 412)
    missing = {"Bucket": bucket, "Key": "none"}
    assert refusal(s3.copy_object, Bucket=bucket, Key="c", CopySource=missing) == ("NoSuchKey", 404)


def test_tags_of_objects(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"")
    tags = [{"Key": "k", "Value": "v"}, {"Key": "empty", "Value": ""}]
    s3.put_object_tagging(Bucket=bucket, Key="a", Tagging={"TagSet": tags})
    assert s3.get_object_tagging(Bucket=bucket, Key="a")["TagSet"] == tags
    s3.delete_object_tagging(Bucket=bucket, Key="a")
    assert s3.get_object_tagging(Bucket=bucket, Key="a")["TagSet"] == []
    twice = {"TagSet": [{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}]}
    assert refusal(s3.put_object_tagging, Bucket=bucket, Key="a", Tagging=twice) == ("InvalidTag", 400)
    many = {"TagSet": [{"Key": str(n), "Value": ""} for n in range(11)]}
    assert refusal(s3.put_object_tagging, Bucket=bucket, Key="a", Tagging=many) == ("BadRequest", 400)


def test_versions_through_their_whole_life(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"0")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    ids = [s3.put_object(Bucket=bucket, Key="a", Body=str(n))["VersionId"] for n in (1, 2)]
    marker = s3.delete_object(Bucket=bucket, Key="a")
    assert marker["DeleteMarker"] is True
    assert refusal(s3.get_object, Bucket=bucket, Key="a") == ("NoSuchKey", 404)
    assert refusal(s3.get_object, Bucket=bucket, Key="a", VersionId=marker["VersionId"]) == ("MethodNotAllowed", 405)
    assert s3.get_object(Bucket=bucket, Key="a", VersionId=ids[0])["Body"].read() == b"1"
    assert s3.get_object(Bucket=bucket, Key="a", VersionId="null")["Body"].read() == b"0"
    listed = s3.list_object_versions(Bucket=bucket)
    assert [version["VersionId"] for version in listed["Versions"]] == [ids[1], ids[0], "null"]
    assert [entry["IsLatest"] for entry in listed["DeleteMarkers"]] == [True]
    s3.delete_object(Bucket=bucket, Key="a", VersionId=marker["VersionId"])
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"2"
    s3.copy_object(Bucket=bucket, Key="a", CopySource={"Bucket": bucket, "Key": "a", "VersionId": ids[0]})
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"1"
    paged = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1})
    assert len([version for page in paged for version in page.get("Versions", [])]) == 4
    assert refusal(s3.get_object, Bucket=bucket, Key="a", VersionId="0" * 32) == ("NoSuchVersion", 404)


def test_attributes(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"12345", ChecksumAlgorithm="SHA256")
    told = s3.get_object_attributes(
        Bucket=bucket, Key="a", ObjectAttributes=["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    )
    assert told["ETag"] == hashlib.md5(b"12345").hexdigest()
    assert told["Checksum"]["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(b"12345").digest()).decode()
    assert (told["ObjectSize"], told["StorageClass"]) == (5, "STANDARD")
    assert "ObjectParts" not in told


def test_presigned_urls_work_both_ways(server: Server, s3: Any, bucket: str) -> None:
    signer = server.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
    put = signer.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "a/b"})
    with urllib.request.urlopen(urllib.request.Request(put, data=b"from afar", method="PUT")) as answer:
        assert answer.status == 200
    get = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a/b"})
    with urllib.request.urlopen(get) as answer:
        assert answer.read() == b"from afar"
    with pytest.raises(HTTPError) as caught:
        urllib.request.urlopen(f"{server.endpoint}/{bucket}/a/b")
    assert caught.value.code == 403
    caught.value.close()


def test_what_is_not_honoured_is_refused(s3: Any, bucket: str) -> None:
    put = s3.put_object
    assert refusal(put, Bucket=bucket, Key="a", Body=b"", ACL="public-read") == ("AccessControlListNotSupported", 400)
    assert refusal(put, Bucket=bucket, Key="a", Body=b"", GrantRead="id=x") == ("AccessControlListNotSupported", 400)
    assert refusal(put, Bucket=bucket, Key="a", Body=b"", StorageClass="WARM") == ("InvalidStorageClass", 400)
    assert refusal(put, Bucket=bucket, Key="a", Body=b"", ObjectLockLegalHoldStatus="ON") == ("InvalidRequest", 400)
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    assert refusal(put, Bucket=bucket, Key="a", Body=b"", **key) == ("NotImplemented", 501)
    assert refusal(put, Bucket=bucket, Key="a", Body=b"", ExpectedBucketOwner="999999999999") == ("AccessDenied", 403)
    assert refusal(put, Bucket=bucket, Key="a", Body=b"", Metadata={"m": "x" * 2048}) == ("MetadataTooLarge", 400)
    put(Bucket=bucket, Key="a", Body=b"", ACL="bucket-owner-full-control", ExpectedBucketOwner="000000000000")
    s3.put_object_acl(Bucket=bucket, Key="a", ACL="private")
    assert s3.get_object_acl(Bucket=bucket, Key="a")["Grants"][0]["Permission"] == "FULL_CONTROL"


def test_another_account_stands_before_a_closed_door(server: Server, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"")
    other = server.client("s3", aws_access_key_id="210987654321", aws_secret_access_key="test")
    assert refusal(other.get_object, Bucket=bucket, Key="a") == ("AccessDenied", 403)
    assert refusal(other.put_object, Bucket=bucket, Key="a", Body=b"") == ("AccessDenied", 403)
    assert refusal(other.list_objects_v2, Bucket=bucket) == ("AccessDenied", 403)
    assert refusal(other.head_bucket, Bucket=bucket) == ("403", 403)
    assert refusal(other.create_bucket, Bucket=bucket) == ("BucketAlreadyExists", 409)


def test_uploads_in_parts(s3: Any, bucket: str) -> None:
    mib = 1024 * 1024
    body = os.urandom(11 * mib)
    s3.upload_fileobj(io.BytesIO(body), bucket, "a", ExtraArgs={"Metadata": {"m": "1"}})
    received = io.BytesIO()
    s3.download_fileobj(bucket, "a", received)
    assert received.getvalue() == body
    head = s3.head_object(Bucket=bucket, Key="a", PartNumber=1)
    assert head["ETag"].endswith('-2"')
    assert (head["PartsCount"], head["ContentLength"], head["Metadata"]) == (2, 8 * mib, {"m": "1"})
    upload = s3.create_multipart_upload(Bucket=bucket, Key="b", ChecksumAlgorithm="SHA256")["UploadId"]
    one = s3.upload_part_copy(
        Bucket=bucket,
        Key="b",
        UploadId=upload,
        PartNumber=1,
        CopySource={"Bucket": bucket, "Key": "a"},
        CopySourceRange=f"bytes=1-{5 * mib}",
    )["CopyPartResult"]
    two = s3.upload_part(Bucket=bucket, Key="b", UploadId=upload, PartNumber=2, Body=b"end", ChecksumAlgorithm="SHA256")
    listed = s3.list_parts(Bucket=bucket, Key="b", UploadId=upload, MaxParts=1)
    assert ([part["PartNumber"] for part in listed["Parts"]], listed["IsTruncated"]) == ([1], True)
    assert [entry["UploadId"] for entry in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
    parts = [
        {"PartNumber": number, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]}
        for number, part in ((1, one), (2, two))
    ]
    complete = {"Bucket": bucket, "Key": "b", "UploadId": upload}
    wrong_order = {"Parts": parts[::-1]}
    assert refusal(s3.complete_multipart_upload, **complete, MultipartUpload=wrong_order) == ("InvalidPartOrder", 400)
    done = s3.complete_multipart_upload(**complete, MultipartUpload={"Parts": parts})
    assert done["ChecksumSHA256"].endswith("-2")
    assert s3.get_object(Bucket=bucket, Key="b")["Body"].read() == body[1 : 5 * mib + 1] + b"end"
    told = s3.get_object_attributes(Bucket=bucket, Key="b", ObjectAttributes=["ObjectParts"])["ObjectParts"]
    assert [part["Size"] for part in told["Parts"]] == [5 * mib, 3]
    aborted = s3.create_multipart_upload(Bucket=bucket, Key="c")["UploadId"]
    s3.abort_multipart_upload(Bucket=bucket, Key="c", UploadId=aborted)
    gone = {"Bucket": bucket, "Key": "c", "UploadId": aborted}
    assert refusal(s3.upload_part, **gone, PartNumber=1, Body=b"") == ("NoSuchUpload", 404)
