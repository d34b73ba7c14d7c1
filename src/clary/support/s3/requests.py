"""What clients say about objects, read from the members of their requests; what S3 refuses is refused here."""

import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from clary.kernel.core.errors import AwsError
from clary.kernel.objects.checksums import ALGORITHMS, new
from clary.kernel.objects.records import STANDARD, Claim, Condition, Content
from clary.kernel.rooms import Body, Context

CONTENT_HEADERS = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType")
ENCRYPTION = ("ServerSideEncryption", "SSEKMSKeyId", "SSEKMSEncryptionContext", "BucketKeyEnabled")
_CONTENT = frozenset(
    {
        *CONTENT_HEADERS,
        *ENCRYPTION,
        "ACL",
        "Expires",
        "Metadata",
        "StorageClass",
        "Tagging",
        "WebsiteRedirectLocation",
        "RequestPayer",
    }
)
_STORAGE_CLASSES = frozenset(
    {
        STANDARD,
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER",
        "GLACIER_IR",
        "DEEP_ARCHIVE",
    }
)
_CHECKSUMS = {f"Checksum{name}": name for name in ALGORITHMS}
_CUSTOMER_KEYS = ("SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5")
_LOCKS = ("ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus")
_PRIVATE_ACLS = frozenset({"private", "bucket-owner-full-control"})
_ENCRYPTIONS = frozenset({"AES256", "aws:kms", "aws:kms:dsse"})
MOST_METADATA_BYTES = 2048
MOST_TAGS = 10


def not_implemented(what: str, why: str) -> AwsError:
    return AwsError("NotImplemented", f"{what} is not supported by Clary: {why}.", status=501)


def invalid_argument(name: str, value: object, why: str) -> AwsError:
    members = {"ArgumentName": name, "ArgumentValue": value}
    return AwsError("InvalidArgument", f"{why} ({name}: {value})", status=400, members=members)


def check_owner(ctx: Context, expected: str | None) -> None:
    """Refuse a request that expects another owner than the caller, who can reach own buckets only."""
    if expected is not None and expected != ctx.account:
        raise AwsError("AccessDenied", f"The bucket does not belong to account {expected}, as expected.", status=403)


def check_honoured(operation: str, request: Mapping[str, Any]) -> None:
    """Refuse members beside those of `content`, with the reason where there is one."""
    for name in request:
        if name in _CONTENT:
            continue
        if name in _CUSTOMER_KEYS:
            raise not_implemented("Encryption with a key of the customer (SSE-C)", "objects are not encrypted at rest")
        if name in _LOCKS or name.startswith("ObjectLock"):
            raise AwsError("InvalidRequest", "Bucket is missing Object Lock Configuration", status=400)
        if name.startswith("Grant"):
            raise acl_refused()
        raise not_implemented(f"{name} of {operation}", "leave it out")


def acl_refused() -> AwsError:
    return AwsError(
        "AccessControlListNotSupported",
        "The bucket does not allow ACLs: objects belong to the bucket's owner and are private.",
        status=400,
    )


def check_acl(acl: str | None) -> None:
    """Refuse canned ACLs that would open what is private."""
    if acl is not None and acl not in _PRIVATE_ACLS:
        raise acl_refused()


def content(request: Mapping[str, Any]) -> Content:
    """Return what a request says about an object besides its bytes."""
    check_acl(request.get("ACL"))
    headers = {name: request[name] for name in CONTENT_HEADERS if request.get(name)}
    if "ContentEncoding" in headers:
        # A transfer detail that SDKs put among the encodings of the object.
        kept = [part.strip() for part in headers["ContentEncoding"].split(",") if part.strip() != "aws-chunked"]
        headers["ContentEncoding"] = ",".join(kept)
        if not kept:
            del headers["ContentEncoding"]
    if request.get("Expires") is not None:
        headers["Expires"] = str(request["Expires"])
    redirect = request.get("WebsiteRedirectLocation")
    if redirect:
        headers["WebsiteRedirectLocation"] = redirect
    return Content(
        headers=headers,
        metadata=_metadata(request.get("Metadata")),
        tags=tags_of_header(request.get("Tagging")),
        storage_class=storage_class(request.get("StorageClass")),
        encryption=encryption(request),
    )


def storage_class(name: str | None) -> str:
    """Return the class to store, "" for STANDARD. Raises InvalidStorageClass."""
    if name is None or name == STANDARD:
        return ""
    if name not in _STORAGE_CLASSES:
        raise AwsError("InvalidStorageClass", f"The storage class you specified is not valid: {name}", status=400)
    return name


def encryption(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the encryption asked for, to be recorded and told again."""
    found = {name: request[name] for name in ENCRYPTION if request.get(name) is not None}
    kind = found.get("ServerSideEncryption")
    if kind is not None and kind not in _ENCRYPTIONS:
        raise invalid_argument("x-amz-server-side-encryption", kind, "The encryption method specified is not supported")
    return found


def tags_of_header(text: str | None) -> dict[str, str]:
    """Return the tags of an `x-amz-tagging` header: `name=value&...`."""
    if not text:
        return {}
    pairs = parse_qsl(text, keep_blank_values=True)
    return checked_tags([{"Key": key, "Value": value} for key, value in pairs], MOST_TAGS)


def checked_tags(tag_set: list[dict[str, str]], most: int) -> dict[str, str]:
    """Return tags by key. Raises BadRequest or InvalidTag."""
    if len(tag_set) > most:
        raise AwsError("BadRequest", f"Object tags cannot be greater than {most}", status=400)
    tags: dict[str, str] = {}
    for tag in tag_set:
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if not 0 < len(key) <= 128 or key.lower().startswith("aws:"):
            raise AwsError("InvalidTag", f"The TagKey you have provided is invalid: '{key}'", status=400)
        if len(value) > 256:
            raise AwsError("InvalidTag", f"The TagValue you have provided is invalid: '{value}'", status=400)
        if key in tags:
            raise AwsError("InvalidTag", f"Cannot provide multiple Tags with the same key: '{key}'", status=400)
        tags[key] = value
    return tags


def claim(ctx: Context, request: dict[str, Any], size: int | None) -> Claim:
    """Return what a request claims about its body; takes the members it reads out of `request`."""
    claimed: dict[str, str] = {}
    for member, name in _CHECKSUMS.items():
        if member in request:
            claimed[name] = _checked_checksum(name, request.pop(member))
    if len(claimed) > 1:
        raise AwsError(
            "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum types given.", status=400
        )
    asked = request.pop("ChecksumAlgorithm", None) or _trailing_algorithm(ctx)
    if asked is not None and not claimed:
        claimed[checked_algorithm(asked)] = ""
    return Claim(checksums=claimed, md5=request.pop("ContentMD5", None) or "", size=size)


def checked_algorithm(name: str) -> str:
    """Return a known checksum algorithm's name. Raises InvalidRequest."""
    if name.upper() not in ALGORITHMS:
        raise AwsError("InvalidRequest", f"Checksum algorithm provided is unsupported: {name}", status=400)
    return name.upper()


def condition(IfMatch: str | None = None, IfNoneMatch: str | None = None) -> Condition:
    """Return the condition of a conditional write. Only `*` may be asked of If-None-Match, as S3 has it."""
    if IfNoneMatch is not None and IfNoneMatch != "*":
        raise not_implemented("If-None-Match with an ETag on a write", "use * to write only what does not exist")
    return Condition(if_match=None if IfMatch is None else unquoted(IfMatch), if_none_match=IfNoneMatch)


def unquoted(etag: str) -> str:
    """Return an ETag without quotes."""
    return etag.strip().removeprefix("W/").strip('"')


def quoted(etag: str) -> str:
    """Return an ETag as headers and documents have it."""
    return f'"{etag}"'


def as_stream(body: Any) -> Body:
    """Return a body to iterate over, whatever the caller gave."""
    if isinstance(body, Body):
        return body
    data = body.encode() if isinstance(body, str) else bytes(body or b"")
    return Body(_once(data), len(data))


def copy_source(text: str) -> tuple[str, str, str | None]:
    """Return (bucket, key, version id) of an `x-amz-copy-source` header."""
    path, _, query = text.partition("?versionId=")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    if not bucket or not key or bucket.startswith("arn:"):
        raise invalid_argument("x-amz-copy-source", text, "Copy Source must mention the source bucket and key")
    return bucket, key, unquote(query) or None


async def _once(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data


def _metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    found = dict(metadata or {})
    size = sum(len(name.encode()) + len(value.encode()) for name, value in found.items())
    if size > MOST_METADATA_BYTES:
        raise AwsError(
            "MetadataTooLarge",
            "Your metadata headers exceed the maximum allowed metadata size",
            status=400,
            members={"Size": size, "MaxSizeAllowed": MOST_METADATA_BYTES},
        )
    return found


def _checked_checksum(name: str, value: str) -> str:
    try:
        size = len(base64.b64decode(value.partition("-")[0], validate=True))
    except ValueError:
        size = -1
    if size != len(new(name).digest()):
        raise AwsError(
            "InvalidRequest", f"Value for x-amz-checksum-{name.lower()} header is invalid: {value}", status=400
        )
    return value


def _trailing_algorithm(ctx: Context) -> str | None:
    trailer = (ctx.headers or {}).get("x-amz-trailer", "")
    name = trailer.removeprefix("x-amz-checksum-")
    return name if name != trailer else None
