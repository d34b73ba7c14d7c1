"""`run`: become a command of the request's own, with what the images of AWS would have for it.

The driver of the SageMaker SDK's remote functions relies on the SDK itself.
"""

import os
import signal
import sys

from clary.runtime import failure
from clary.runtime.commands import remote_function
from clary.runtime.paths import ml_paths

CANNOT_RUN, NOT_FOUND = 126, 127


def run(command: list[str]) -> int:
    """Run the command in this process's place; return only when it cannot be run."""
    if remote_function.is_driver(command):
        remote_function.prepare(command)
    sys.stdout.flush()
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python, and then by whom it becomes: `yes | head` would fail
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        reason = f"{command[0]}: {error.strerror}"
        print(reason, file=sys.stderr, flush=True)
        failure.record(ml_paths(), f"The container's entry point cannot be run: {reason}")
        return NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_RUN
