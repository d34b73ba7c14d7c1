"""Names that the engine chooses: each follows from what it is for, so that a crash chooses the same again.

A job is called `pipelines-<execution>-<step>-<suffix>`, as on AWS; where the step's arguments name it, that name takes
the place of `pipelines` and the step's. Either way the execution can be read from it.
"""

import hashlib
import re
import string

TOPIC = "pipelines"
"""What the reconciler is woken by; keys are `account/region/execution`."""

EXECUTION_ID_LENGTH = 12
_SUFFIX_LENGTH = 10
_TOKEN_LENGTH = 10
_LONGEST_NAME = 63
_LOWER = string.ascii_lowercase + string.digits
_ANY = string.ascii_letters + string.digits
_OURS = re.compile(rf"-(?P<execution>[a-z0-9]{{{EXECUTION_ID_LENGTH}}})-(?:.*-)?[A-Za-z0-9]{{{_SUFFIX_LENGTH}}}$")


def execution_id(*parts: str) -> str:
    """12 lower-case letters and digits."""
    return _text(_LOWER, EXECUTION_ID_LENGTH, "execution", *parts)


def callback_token(execution: str, step: str, run: int, attempt: int) -> str:
    """10 letters and digits. Nobody guesses it who does not know the execution's id."""
    return _text(_ANY, _TOKEN_LENGTH, "callback", execution, step, str(run), str(attempt))


def job_name(execution: str, step: str, run: int, attempt: int, *, base: str = "") -> str:
    """The name of what a step makes in an attempt, at most 63 characters; `base` is the name in its arguments."""
    suffix = _text(_ANY, _SUFFIX_LENGTH, "job", execution, step, str(run), str(attempt))
    room = _LONGEST_NAME - len(f"-{execution}-{suffix}")
    if base:
        return f"{base[:room].rstrip('-')}-{execution}-{suffix}"
    said = re.sub(r"[^A-Za-z0-9-]", "-", step)[: room - len("pipelines-")].strip("-")
    return f"pipelines-{execution}-{said}-{suffix}" if said else f"pipelines-{execution}-{suffix}"


def request_token(execution: str, step: str, run: int, attempt: int) -> str:
    """The ClientToken of what a step makes in an attempt."""
    return hashlib.sha256("/".join((execution, step, str(run), str(attempt))).encode()).hexdigest()[:36]


def execution_in(name: str) -> str | None:
    """The id of the execution in a job's name; None in names that are not of our making."""
    found = _OURS.search(name)
    return None if found is None else found["execution"]


def _text(alphabet: str, length: int, *parts: str) -> str:
    number = int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest())
    characters = []
    for _ in range(length):
        number, digit = divmod(number, len(alphabet))
        characters.append(alphabet[digit])
    return "".join(characters)
