"""What S3 tells about objects: the members of its answers, from the records of the kernel."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from clary.kernel.objects.listing import Listed
from clary.kernel.objects.records import STANDARD, ObjectVersion
from clary.kernel.wire.xml_write import escape

_PLAIN = re.compile(r"[A-Za-z0-9/_.~*-]*")
DEFAULT_CONTENT_TYPE = "binary/octet-stream"


def owner(account: str) -> dict[str, str]:
    """Return the owner element of an account; its canonical id is made from the account id."""
    return {"ID": hashlib.sha256(account.encode()).hexdigest(), "DisplayName": account}


def stored(version: ObjectVersion) -> dict[str, Any]:
    """Return what the answer to a write says."""
    output: dict[str, Any] = {"ETag": f'"{version.etag}"', **checksums(version), **encryption(version)}
    if version.versioned:
        output["VersionId"] = version.place
    return output


def encryption(version: ObjectVersion) -> dict[str, Any]:
    """Return the encryption asked for, without the context: that is told where it was given and nowhere else."""
    return {name: value for name, value in version.encryption.items() if name != "SSEKMSEncryptionContext"}


def checksums(version: ObjectVersion) -> dict[str, str]:
    """Return the checksum members of a version."""
    found = {f"Checksum{name}": value for name, value in version.checksums.items()}
    if found:
        found["ChecksumType"] = version.checksum_type
    return found


def described(version: ObjectVersion) -> dict[str, Any]:
    """Return what HeadObject and GetObject say of a version."""
    output: dict[str, Any] = {
        "AcceptRanges": "bytes",
        "ContentType": DEFAULT_CONTENT_TYPE,
        "ETag": f'"{version.etag}"',
        "LastModified": version.modified,
        **version.headers,
        **encryption(version),
    }
    if version.metadata:
        output["Metadata"] = version.metadata
    if version.storage_class:
        output["StorageClass"] = version.storage_class
    if version.versioned:
        output["VersionId"] = version.place
    if version.tags:
        output["TagCount"] = len(version.tags)
    return output


def listed(entry: Listed, encode: bool, owner_element: Mapping[str, str] | None) -> dict[str, Any]:
    """Return an entry of a listing."""
    output: dict[str, Any] = {
        "Key": encoded(entry.key) if encode else entry.key,
        "LastModified": entry.modified,
        "ETag": f'"{entry.etag}"',
        "Size": entry.size,
        "StorageClass": entry.storage_class,
    }
    if entry.algorithms:
        output["ChecksumAlgorithm"] = entry.algorithms
        output["ChecksumType"] = entry.checksum_type
    if owner_element is not None:
        output["Owner"] = owner_element
    return output


def written(entries: Iterable[tuple[str, str]], encode: bool, owner_element: Mapping[str, str] | None) -> str:
    """Return entries of a listing as its XML; `entries` are keys and the words about them."""
    name = encoded if encode else escape
    tail = "</Contents>"
    if owner_element is not None:
        members = "".join(f"<{member}>{escape(value)}</{member}>" for member, value in owner_element.items())
        tail = f"<Owner>{members}</Owner></Contents>"
    return "".join([f"<Contents><Key>{name(key)}</Key>{words}{tail}" for key, words in entries])


def encoded(text: str) -> str:
    """Return a name as `encoding-type=url` has it."""
    return text if _PLAIN.fullmatch(text) else quote(text, safe="/-_.~*")


def tag_set(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as the wire has them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def storage_class(version: ObjectVersion) -> str:
    """Return the storage class, by name."""
    return version.storage_class or STANDARD
