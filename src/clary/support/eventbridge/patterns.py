"""Event patterns of rules and archives, compiled once for each text, with the errors of EventBridge."""

from functools import lru_cache

import orjson

from clary.kernel.core.errors import AwsError
from clary.kernel.core.event_patterns import Matcher, PatternError, compile_pattern


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> Matcher:
    """What says whether an event matches. Raises InvalidEventPatternException that says what is wrong."""
    try:
        return compile_pattern(orjson.loads(pattern))
    except orjson.JSONDecodeError as error:
        raise _wrong(f"it is not JSON: {error}") from None
    except PatternError as error:
        raise _wrong(str(error)) from None


def sources_of(pattern: str) -> frozenset[str] | None:
    """The sources that events of a pattern can have; None where it may be any."""
    wanted = orjson.loads(pattern).get("source")
    if not isinstance(wanted, list) or not all(isinstance(each, str) for each in wanted):
        return None
    return frozenset(wanted)


def _wrong(why: str) -> AwsError:
    return AwsError("InvalidEventPatternException", f"Event pattern is not valid. Reason: {why}")
