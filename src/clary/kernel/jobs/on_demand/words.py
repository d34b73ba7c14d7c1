"""What is said between who wants a model loaded and the shim that loads it: HTTP with JSON bodies on a Unix socket.

    POST /load      {"model": NAME, "wait_seconds": 30.0}   -> 200 {"hit": true} once it is loaded; `hit`: it was before
                                                            -> 4xx, 5xx {"fault": FAULT, "message": ..., "status": ...}
    POST /release   {"model": NAME}                         -> 204
    POST /used      {"models": [NAME, ...]}                 -> 204

Who loaded a model uses it until it says `release`, for `LEASE_SECONDS` at most; a model in use is not unloaded. Uses of
models that are loaded anyway are told later, many at once, by `used`.
"""

import hashlib
from enum import StrEnum

LOAD, RELEASE, USED = "/load", "/release", "/used"
LEASE_SECONDS = 90.0


class Fault(StrEnum):
    """Why a model is not loaded."""

    DATA = "data"  # its archive cannot be had, or is none
    REFUSED = "refused"  # the service does not load it; `status` is its answer's
    LOADING = "loading"  # it is under way, and goes on
    GONE = "gone"  # the service cannot be asked


def model_id(name: str) -> str:
    """What the model `name` is called between the platform and the service: safe in paths, whatever its name."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]
