"""The process that has the user's code: import it once, then call its handler for one event after another.

Forked from the server, so that it may exit, crash or be killed without taking the instance along. The handler runs in
the main thread, as on AWS.
"""

import contextlib
import decimal
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from clary.runtime.ending import leave
from clary.runtime.functions import documents, frames, loading
from clary.runtime.functions.context import LambdaContext

LARGEST_ANSWER = 6 * 1024 * 1024 + 100  # AWS's 6 MB, to the byte that it documents in its error
_OUR_FRAMES = 1


def become(link: socket.socket, output: int, folders: list[str], handler: str) -> NoReturn:
    """Take on standard streams and signals, and serve until the server closes the link. For a process just forked."""
    code = 1
    try:
        os.setsid()
        for name in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(name, signal.SIG_DFL)
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")  # when memory runs out, it is the user's code that goes, and the server tells of it
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True, write_through=False)  # type: ignore[union-attr]
        _serve(link, folders, handler)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException as error:
        print(documents.log_lines(documents.of_exception(error, "", 0)), file=sys.stderr)
    leave(code)


def _serve(link: socket.socket, folders: list[str], handler: str) -> None:
    logs = _LogHandler()
    logging.getLogger().addHandler(logs)
    loading.prefer(folders)
    try:
        call = loading.load(handler)
    except loading.Unusable as fault:
        print(documents.log_lines(fault.document))
        sys.stdout.flush()
        frames.send(link, frames.BROKEN, documents.dump(fault.document))
        return
    sys.stdout.flush()
    frames.send(link, frames.READY)
    while (frame := frames.receive(link)) is not None:
        said, _, event = frame[1].partition(b"\n")
        about = json.loads(said)
        logs.request = about["request"]
        os.environ["_X_AMZN_TRACE_ID"] = about["trace"]
        context = LambdaContext(about["request"], about["arn"], about["deadline_ms"], about["client_context"])
        kind, answer = _answer(call, event, context)
        sys.stdout.flush()
        sys.stderr.flush()
        frames.send(link, kind, answer)


def _answer(call: Callable[[Any, Any], Any], event: bytes, context: LambdaContext) -> tuple[bytes, bytes]:
    request = context.aws_request_id
    try:
        result = call(json.loads(event) if event else {}, context)
    except Exception as error:
        return _failure(documents.of_exception(error, request, _OUR_FRAMES))
    try:
        answer = json.dumps(result, ensure_ascii=False, default=_plain).encode()
    except Exception as error:
        message = f"Unable to marshal response: {error}"
        return _failure(documents.document("Runtime.MarshalError", message, request, []))
    if len(answer) > LARGEST_ANSWER:
        return _failure(documents.too_large(len(answer), LARGEST_ANSWER))
    return frames.ANSWER, answer


def _failure(found: dict[str, Any]) -> tuple[bytes, bytes]:
    print(documents.log_lines(found), end="")
    return frames.ERROR, documents.dump(found)


def _plain(value: object) -> object:
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


class _LogHandler(logging.Handler):
    """What `logging` says, in the form of AWS's Python runtime."""

    def __init__(self) -> None:
        super().__init__()
        self.request = ""
        formatter = logging.Formatter(
            "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"
        )
        formatter.converter = time.gmtime
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        record.aws_request_id = self.request
        sys.stdout.write(self.format(record) + "\n")
