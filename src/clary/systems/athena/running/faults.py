"""What went wrong with a query, in the categories and types that Athena has for it.

Source: "AthenaError" and "Athena error catalog" of the user guide.
"""

from typing import Any, NamedTuple

from clary.kernel.core.errors import AwsError
from clary.lake.engine.tasks import TaskFailed
from clary.systems.athena.contract import StatementFailed

SYSTEM, USER, OTHER = 1, 2, 3
TOO_MUCH = "Query cancelled! : Bytes scanned limit was exceeded"

_BY_CODE = {
    "EXCEEDED_LOCAL_MEMORY_LIMIT": (USER, 1001),
    "GENERIC_INTERNAL_ERROR": (SYSTEM, 233),
    "SYNTAX_ERROR": (USER, 1006),
    "NOT_SUPPORTED": (USER, 1006),
}
_CLIENT_ERROR, _ACCESS_DENIED, _NO_BUCKET, _TIMED_OUT, _SYSTEM_ERROR = 1006, 1301, 1306, 1005, 233


class Fault(NamedTuple):
    """Why a query failed. It may succeed when it is `retryable`."""

    message: str
    category: int = USER
    type: int = _CLIENT_ERROR
    retryable: bool = False

    def document(self) -> dict[str, Any]:
        """AWS's AthenaError."""
        return {
            "ErrorCategory": self.category,
            "ErrorType": self.type,
            "Retryable": self.retryable,
            "ErrorMessage": self.message,
        }


TIMED_OUT = Fault("Query timeout", USER, _TIMED_OUT)
INTERNAL = Fault(
    "INTERNAL_ERROR: Clary met an error of its own while it ran this query; its log says more",
    SYSTEM,
    _SYSTEM_ERROR,
    True,
)


def of_statement(error: StatementFailed) -> Fault:
    return Fault(str(error), error.category, error.error_type)


def of_task(error: TaskFailed) -> Fault:
    category, type_ = _BY_CODE.get(error.code, (USER, _CLIENT_ERROR))
    return Fault(f"{error.code}: {error.message}", category, type_, category == SYSTEM)


def of_access(error: AwsError) -> Fault:
    """What a room that the query needed refused."""
    if error.code.startswith("AccessDenied"):
        return Fault(f"Access denied: {error.message}", USER, _ACCESS_DENIED)
    if error.code == "NoSuchBucket":
        return Fault(
            f"{error.message} (Service: Amazon S3; Status Code: 404; Error Code: NoSuchBucket)", USER, _NO_BUCKET
        )
    return Fault(f"{error.code}: {error.message}")
