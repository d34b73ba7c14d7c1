"""Pages: the names an operation uses for its token, limit and list, opaque tokens, and the pages of a list.

The names come from botocore's paginators, or where it has none from members that look the part, so that a handler is

    return paginate(operation, params, models, key=lambda model: model["ModelName"])

or, when the store pages by itself,

    limit, position = page_asked(operation, params)
    page = table.page(limit, position)
    return page_output(operation, [...], page.next_token)

A token holds a small JSON value, bound to its operation: a foreign, altered or invented one is the service's own
error for a bad token. It is not secret and not signed: what it holds must be checked like any other input.
"""

import binascii
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError
from clary.kernel.wire.constraints import CODES
from clary.kernel.wire.models import Operation, Shape

_VERSION = 1
_TOKENS = ("nexttoken", "marker", "continuationtoken", "paginationtoken")
_LIMITS = ("maxresults", "limit", "maxitems", "maxrecords")
# The errors that services model for a bad token, the most telling first
_TOKEN_ERRORS = (
    "InvalidNextTokenException",
    "InvalidNextToken",
    "InvalidPaginationTokenException",
    "ExpiredNextTokenException",
    "InvalidParameterException",
    "InvalidParameterValueException",
    "InvalidRequestException",
    "InvalidInputException",
    "InvalidArgumentException",
    "ValidationException",
)


@dataclass(frozen=True, slots=True)
class Paging:
    """An operation's members: None for what it lacks. `result_key` is the first list where there are several."""

    input_token: str
    output_token: str
    limit_key: str | None
    result_key: str
    more_results: str | None


@cache
def paging(operation: Operation) -> Paging:
    """How `operation` pages. Raises LookupError where it does not, or by more than one plain token."""
    paginator = operation.paginator
    if paginator is None:
        return _inferred(operation)
    results = paginator["result_key"]
    found = Paging(
        paginator["input_token"],
        paginator["output_token"],
        paginator.get("limit_key"),
        results if isinstance(results, str) else results[0],
        paginator.get("more_results"),
    )
    members = operation.output.members if operation.output else {}
    if not isinstance(found.input_token, str) or found.output_token not in members or found.result_key not in members:
        raise LookupError(f"{operation} pages in a way of its own")
    return found


def _inferred(operation: Operation) -> Paging:
    inputs, outputs = _names(operation.input), _names(operation.output)
    token = next((name for name in _TOKENS if name in inputs and name in outputs), None)
    lists = (
        [use.name for use in operation.output.members.values() if use.shape.type == "list"] if operation.output else []
    )
    if token is None or not lists:
        raise LookupError(f"{operation} does not page")
    limit = next((inputs[name] for name in _LIMITS if name in inputs), None)
    return Paging(inputs[token], outputs[token], limit, lists[0], None)


def _names(shape: Shape | None) -> dict[str, str]:
    return {name.lower(): name for name in shape.members} if shape else {}


def encode_token(operation: Operation, value: Any) -> str:
    """An opaque token for `value`, which JSON must be able to hold."""
    body = orjson.dumps([_VERSION, value])
    return urlsafe_b64encode(_seal(operation, body) + body).decode().rstrip("=")


def decode_token(operation: Operation, token: str) -> Any:
    """The value in a token of this operation; AwsError for anything else."""
    try:
        data = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        version, value = orjson.loads(data[8:])
    except (binascii.Error, ValueError, TypeError):
        raise bad_token(operation) from None
    if data[:8] != _seal(operation, data[8:]) or version != _VERSION:
        raise bad_token(operation)
    return value


def _seal(operation: Operation, body: bytes) -> bytes:
    bound = f"{operation.service.name}.{operation.name}".encode()
    return hashlib.blake2b(body, digest_size=8, key=hashlib.sha256(bound).digest()).digest()


def bad_token(operation: Operation) -> AwsError:
    """The error for a token that this operation never gave."""
    default = CODES.get(operation.service.name, "ValidationException")
    code = next((name for name in _TOKEN_ERRORS if name in operation.errors), default)
    return AwsError(code, "The pagination token is not one that this operation returned. Ask for the first page again.")


def page_asked(operation: Operation, params: Mapping[str, Any], default: int = 100) -> tuple[int, Any]:
    """How many results are asked for, and the position in the token (None: the first page)."""
    names = paging(operation)
    limit = params.get(names.limit_key) if names.limit_key else None
    token = params.get(names.input_token)
    return (default if limit is None else int(limit)), (decode_token(operation, token) if token else None)


def page_output(operation: Operation, items: Sequence[Any], position: Any) -> dict[str, Any]:
    """The output of one page; `position` is where the next begins, None after the last."""
    names = paging(operation)
    output: dict[str, Any] = {names.result_key: list(items)}
    if position is not None:
        output[names.output_token] = encode_token(operation, position)
    if names.more_results is not None:
        output[names.more_results] = position is not None
    return output


def paginate(
    operation: Operation,
    params: Mapping[str, Any],
    items: Sequence[Any],
    *,
    key: Callable[[Any], Any] | None = None,
    default: int = 100,
) -> dict[str, Any]:
    """The page of `items` that `params` ask for, as the operation's output.

    With `key`, by which `items` must be sorted and unique, a page goes on after the last key seen and so neither
    repeats nor skips when items come and go; without it, after as many items as were given.
    """
    limit, position = page_asked(operation, params, default)
    start = 0
    if position is not None:
        try:
            known = tuple(position) if isinstance(position, list) else position  # JSON has no tuples
            start = bisect_right(items, known, key=key) if key else int(position)
        except (TypeError, ValueError):
            raise bad_token(operation) from None
        if start < 0:
            raise bad_token(operation)
    page = items[start : start + limit]
    end = start + len(page)
    if end >= len(items) or not page:
        return page_output(operation, page, None)
    return page_output(operation, page, key(page[-1]) if key else end)
