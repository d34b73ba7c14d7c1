"""/opt/ml/output/failure: the sentence that becomes the job's FailureReason."""

import traceback

from clary.runtime.errors import CustomerError
from clary.runtime.paths import MlPaths

LIMIT = 4096


def describe(error: BaseException) -> str:
    """`Type: message`, then the end of the traceback. AWS keeps 1,024 characters, so the message is first."""
    if isinstance(error, CustomerError):
        return str(error)[:LIMIT]
    head = "".join(traceback.format_exception_only(error)).strip()
    trace = "".join(traceback.format_tb(error.__traceback__))
    room = LIMIT - len(head) - 2
    return f"{head}\n\n{trace[-room:]}" if trace and room > 80 else head[:LIMIT]


def record(paths: MlPaths, text: str) -> None:
    """Write the failure file. When even that is impossible the reason is still in the log, so nothing is raised."""
    try:
        paths.output.mkdir(parents=True, exist_ok=True)
        paths.failure.write_text(text[:LIMIT], encoding="utf-8", errors="replace")
    except OSError as error:
        print(f"cannot write {paths.failure}: {error}", flush=True)
