"""`script`: what `python3 FILE ARGUMENT...` does, in this interpreter, which may have imported libraries ahead.

To the script it looks the same: its folder is first on the path, it is `__main__`, it ends with its own exit code.
"""

import os
import sys

from clary.runtime import threads
from clary.runtime.ending import spare_what_is_loaded
from clary.runtime.toolkit.execution import execute, without_our_frames


def script(file: str, arguments: list[str]) -> int:
    """Run the file; return its exit code."""
    path = os.path.abspath(file)
    if not os.path.isfile(path):
        print(f"python3: can't open file '{path}': [Errno 2] No such file or directory", file=sys.stderr, flush=True)
        return 2
    if _may_install(path):
        # It may install another version of what is imported here already: it gets an interpreter of its own.
        os.execv(sys.executable, [sys.executable, path, *arguments])
    threads.pin()
    sys.argv = [path, *arguments]
    spare_what_is_loaded()
    try:
        execute(path)
    except SystemExit as stop:
        return _exit_code(stop.code)
    except KeyboardInterrupt:
        return 130
    except BaseException as error:
        import traceback

        traceback.print_exception(without_our_frames(error))
        return 1
    return 0


def _may_install(path: str) -> bool:
    """Whether the word `pip` occurs in the file."""
    with open(path, "rb") as file:
        text = file.read()
    if b"pip" not in text:
        return False
    import re

    return re.search(rb"\bpip\b", text) is not None


def _exit_code(code: object) -> int:
    """What `sys.exit(code)` means: None and integers as they are, anything else is printed and means 1."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr, flush=True)
    return 1
