"""Several processes that serve one model on one socket; one that dies or hangs is replaced.

They are forked before anything heavy is loaded, each to load the model for itself.
"""

import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from types import FrameType

_LOOK_SECONDS = 1.0


def supervise(workers: int, work: Callable[[Callable[[], None]], int], announce: Callable[[], None]) -> int:
    """Run `work` in `workers` processes until SIGTERM; return the exit code. `announce` when all have loaded.

    When one ends before its model is loaded all end, since another would fare no better.
    """
    return _Supervisor(workers, work, announce).run()


class _Supervisor:
    def __init__(self, workers: int, work: Callable[[Callable[[], None]], int], announce: Callable[[], None]) -> None:
        self._workers = workers
        self._work = work
        self._announce = announce
        self._children: dict[int, int] = {}  # process to the pipe on which it says that it is ready
        self._ready: set[int] = set()
        self._stopping = self._announced = False
        self._worst = 0

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        for _ in range(self._workers):
            self._fork()
        while self._children:
            self._listen()
            for child in list(self._children):
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    self._ended(child, os.waitstatus_to_exitcode(status))
        return self._worst

    def _listen(self) -> None:
        """Wait for a word, or the end of a pipe, of which each child has one."""
        waiting = {pipe: child for child, pipe in self._children.items()}
        readable, _, _ = select.select(list(waiting), [], [], _LOOK_SECONDS)
        for pipe in readable:
            child = waiting[pipe]
            if os.read(pipe, 1):
                self._ready.add(child)
            else:
                self._ended(child, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        if not self._announced and len(self._ready) == self._workers:
            self._announced = True
            self._announce()

    def _ended(self, child: int, code: int) -> None:
        os.close(self._children.pop(child))
        ready = child in self._ready
        self._ready.discard(child)
        if self._stopping:
            return
        print(f"model server worker {child} ended with {code}", file=sys.stderr, flush=True)
        if ready:
            self._fork()
        else:
            self._worst = 1
            self._stop(signal.SIGTERM, None)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        for child in self._children:
            os.kill(child, signal.SIGTERM)

    def _fork(self) -> None:
        pipe, tell = os.pipe()
        child = os.fork()
        if child:
            os.close(tell)
            self._children[child] = pipe
            return
        code = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.close(pipe)
            for other in self._children.values():
                os.close(other)
            code = self._work(partial(_say, tell))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def _say(pipe: int) -> None:
    os.write(pipe, b".")
