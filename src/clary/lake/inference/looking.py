"""Have files looked into by a process of its own, which may break or be ended without harm."""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from clary.lake.inference.found import Found, read_found


class Ended(Exception):
    """Nothing is looked into any more: it was ended."""


class Looking:
    """Classifies files, one at a time; in a `with` block, after which its process is gone. `end` is for any thread."""

    def __init__(self, classifiers: Sequence[Mapping[str, Any]] = ()) -> None:
        self._classifiers = classifiers
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        self._close()

    def look(self, path: Path, name: str) -> Found:
        """What a file is; `name` is that of the object. Raises ValueError where that cannot be said, and Ended."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        request = {"path": str(path), "name": name, "classifiers": self._classifiers}
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except (BrokenPipeError, ValueError):
            line = ""
        if not line.endswith("\n"):
            self._drop()
            raise ValueError("looking into it took too long, or broke what looks")
        answer = json.loads(line)
        if "error" in answer:
            raise ValueError(answer["error"])
        return read_found(answer["found"])

    def end(self) -> None:
        """End the process now, whatever it does; `look` raises Ended."""
        with self._lock:
            self._ended = True
            if self._process is not None:
                self._process.kill()

    def _started(self) -> "subprocess.Popen[str]":
        with self._lock:
            if self._ended:
                raise Ended
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "clary.lake.inference.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            return self._process

    def _drop(self) -> None:
        """Let go of a process that has failed; the next file is looked into by another one."""
        self._close()
        with self._lock:
            if self._ended:
                raise Ended

    def _close(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
