"""End the process at once, having done what an orderly end does for the user's code.

To take down an interpreter with pandas, scikit-learn and XGBoost loaded costs up to a second of freeing memory that the
system frees anyway. A short job should not take longer to end than to run.
"""

import atexit
import contextlib
import gc
import io
import os
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing it costs as much as many a script
    from typing import NoReturn

WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def leave(code: int) -> "NoReturn":
    """Wait for threads that are not daemons, run atexit functions, write out open files, and exit with `code`."""
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    _flush_open_files()
    os._exit(code)


def spare_what_is_loaded() -> None:
    """Keep the objects that exist now, libraries mostly, out of collections and out of the search for open files."""
    gc.freeze()


def _flush_open_files() -> None:
    """A file that a script left open is written out when its object dies, which it will not."""
    for found in gc.get_objects():
        if issubclass(type(found), WRITERS):
            with contextlib.suppress(Exception):
                found.flush()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
