"""The JSON documents that answer an invocation which failed, as AWS's Python runtime and its sandbox write them."""

import json
import traceback
from types import TracebackType
from typing import Any

_MARKED = "[ERROR] "


def document(kind: str, message: str, request: str = "", trace: list[str] | None = None) -> dict[str, Any]:
    """What the caller gets. `trace` is None where there is no code to blame."""
    found: dict[str, Any] = {"errorMessage": message, "errorType": kind}
    if trace is not None:
        found |= {"requestId": request, "stackTrace": trace}
    return found


def of_exception(error: BaseException, request: str, skip: int) -> dict[str, Any]:
    """What an exception of the user's code comes to; the first `skip` entries of its trace are ours."""
    return document(type(error).__name__, str(error), request, _trace(error.__traceback__, skip))


def dump(found: dict[str, Any]) -> bytes:
    return json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")


def log_lines(found: dict[str, Any]) -> str:
    """How a failure stands in the log."""
    text = f"{_MARKED}{found['errorType']}: {found['errorMessage']}\nTraceback (most recent call last):\n"
    return text + "".join(found.get("stackTrace") or ())


def died(request: str, reason: str, kind: str = "Runtime.ExitError") -> dict[str, Any]:
    """The worker ended before it answered."""
    return document(kind, f"RequestId: {request} Error: {reason}")


def ran_late(request: str, seconds: float) -> dict[str, Any]:
    return document("Sandbox.Timedout", f"RequestId: {request} Error: Task timed out after {seconds:.2f} seconds")


def too_large(size: int, limit: int) -> dict[str, Any]:
    return document(
        "Function.ResponseSizeTooLarge",
        f"Response payload size ({size} bytes) exceeded maximum allowed payload size ({limit} bytes).",
    )


def _trace(found: TracebackType | None, skip: int) -> list[str]:
    return traceback.format_list(traceback.extract_tb(found)[skip:])
