"""Tokens of paged answers: opaque to clients, written so that a wrong one is told from ours."""

import base64
import binascii
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError

_DIGITS = 56


def invalid_token() -> AwsError:
    return AwsError("InvalidParameterException", "The specified nextToken is invalid.")


def forward_token(position: int) -> str:
    """The token that reads on behind a gap of a stream."""
    return f"f/{position:0{_DIGITS}d}/s"


def backward_token(position: int) -> str:
    """The token that reads what lies before a gap of a stream."""
    return f"b/{position:0{_DIGITS}d}/s"


def read_stream_token(token: str) -> tuple[int, bool]:
    """The gap, and whether to read backward. Raises InvalidParameterException."""
    direction, _, rest = token.partition("/")
    digits = rest.removesuffix("/s")
    if direction not in {"f", "b"} or len(digits) != _DIGITS or not (digits.isascii() and digits.isdigit()):
        raise invalid_token()
    return int(digits), direction == "b"


def event_id(number: int) -> str:
    """An event's id as AWS writes it."""
    return f"{number:0{_DIGITS}d}"


def page_token(*place: Any) -> str:
    """The token of a list that goes on behind `place`."""
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode()


def read_page_token(token: str | None, *kinds: type) -> list[Any] | None:
    """The place in a token whose parts are of `kinds`. Raises InvalidParameterException."""
    if token is None:
        return None
    try:
        place = orjson.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise invalid_token() from None
    if not isinstance(place, list) or [type(part) for part in place] != list(kinds):
        raise invalid_token()
    return place
