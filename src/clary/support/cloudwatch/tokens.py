"""Tokens of paged answers: opaque to clients, written so that a wrong one is told from ours."""

import base64
import binascii

from clary.kernel.core.errors import AwsError


def invalid_token() -> AwsError:
    return AwsError("InvalidNextToken", "The specified NextToken is invalid.")


def write_token(place: bytes) -> str:
    return base64.urlsafe_b64encode(b"cw" + place).decode()


def read_token(token: str | None) -> bytes | None:
    """The place in a token. Raises InvalidNextToken."""
    if not token:
        return None
    try:
        found = base64.b64decode(token, altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise invalid_token() from None
    if not found.startswith(b"cw"):
        raise invalid_token()
    return found[2:]


def read_number(token: str | None) -> int:
    """The number in a token; 0 without one. Raises InvalidNextToken."""
    place = read_token(token) or b"0"
    if not place.isdigit() or len(place) > 18:
        raise invalid_token()
    return int(place)
