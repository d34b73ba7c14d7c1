"""Execute a Python file as `python file` would, in this process. Imports next to nothing: a small script is to start
fast where no interpreter stands ready."""

import os
import sys
import types

_OURS = os.path.dirname(__file__) + os.sep


def execute(file: str) -> None:
    """What `python file` does, in this process. __main__ is replaced for good, so that pickles and atexit find it."""
    sys.argv[0] = file
    sys.path.insert(0, os.path.dirname(file))
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=file, __builtins__=__builtins__, __spec__=None)
    sys.modules["__main__"] = main
    with open(file, "rb") as source:
        code = compile(source.read(), file, "exec")
    exec(code, main.__dict__)


def without_our_frames(error: BaseException) -> BaseException:
    """The user should see the traceback from the first line of theirs on."""
    trace = error.__traceback__
    while trace is not None and _is_ours(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return error.with_traceback(trace) if trace is not None else error


def _is_ours(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen runpy"))
