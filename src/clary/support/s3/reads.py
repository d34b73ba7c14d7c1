"""Which part of an object a read is for, and whether its conditions let it be."""

import re
from dataclasses import dataclass

from clary.kernel.core.errors import AwsError
from clary.kernel.objects.records import ObjectVersion
from clary.kernel.objects.refusals import precondition_failed
from clary.support.s3.requests import unquoted

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


@dataclass(frozen=True, slots=True)
class Span:
    """`length` bytes from `offset` of `size`; `partial` when the client asked for a part."""

    offset: int
    length: int
    size: int
    partial: bool

    @property
    def content_range(self) -> str:
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{self.size}"


def is_unmodified(
    version: ObjectVersion,
    if_match: str | None,
    if_none_match: str | None,
    if_modified_since: float | None,
    if_unmodified_since: float | None,
) -> bool:
    """Say whether to answer 304 Not Modified. Raises PreconditionFailed. ETags take precedence over dates."""
    modified = int(version.modified)
    if if_match is not None:
        if not _names(if_match, version.etag):
            raise precondition_failed("If-Match")
    elif if_unmodified_since is not None and modified > int(if_unmodified_since):
        raise precondition_failed("If-Unmodified-Since")
    if if_none_match is not None:
        return _names(if_none_match, version.etag)
    return if_modified_since is not None and modified <= int(if_modified_since)


def span_of(version: ObjectVersion, text: str | None, part_number: int | None) -> Span:
    """Return what to read. Raises InvalidRange, InvalidPartNumber. A range that S3 cannot read is the whole object."""
    size = version.size
    if part_number is not None:
        if text is not None:
            raise AwsError(
                "InvalidRequest", "Cannot specify both Range header and partNumber query parameter", status=400
            )
        return _part(version, part_number)
    match = _RANGE.fullmatch(text.replace(" ", "")) if text is not None else None
    if match is None or match[1] == match[2] == "":
        return Span(0, size, size, partial=False)
    if match[1] == "":
        length = min(int(match[2]), size)
        offset = size - length
    else:
        offset = int(match[1])
        end = min(int(match[2]), size - 1) if match[2] else size - 1
        if match[2] and int(match[2]) < offset:
            return Span(0, size, size, partial=False)
        length = end - offset + 1
    if length <= 0:
        raise AwsError(
            "InvalidRange",
            "The requested range is not satisfiable",
            status=416,
            members={"ActualObjectSize": size, "RangeRequested": text},
        )
    return Span(offset, length, size, partial=True)


def _part(version: ObjectVersion, number: int) -> Span:
    sizes = [size for _, size, _ in version.parts] or [version.size]
    if not 1 <= number <= len(sizes):
        raise AwsError(
            "InvalidPartNumber", f"The requested partnumber is not satisfiable: {number} of {len(sizes)}", status=416
        )
    return Span(sum(sizes[: number - 1]), sizes[number - 1], version.size, partial=True)


def _names(condition: str, etag: str) -> bool:
    return any(part.strip() == "*" or unquoted(part) == etag for part in condition.split(","))
