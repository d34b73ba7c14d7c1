"""Calls of a model that may block: threads that take them in turn, each call with a time limit.

A thread cannot be stopped. One whose call is over time is left to itself, and counted: when all are, the model hangs.
A stream whose caller takes no more leaves its thread to other calls until there is room again.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

from clary.runtime.inference.contract import Joining, Model, Refused, Reply, Request
from clary.runtime.inference.http import Exchange

# More would only wait until their callers give up.
WAITING_LIMIT = 1024
# Pieces of a stream that may be on their way from the thread to the caller.
PIECES_AHEAD = 4


class Call:
    """One request on its way through the model. Everything but `piece` and what follows it happens on the loop."""

    def __init__(self, calls: "Calls", exchange: Exchange, request: Request) -> None:
        self._calls = calls
        self.exchange = exchange
        self.request = request
        self.timer: asyncio.TimerHandle | None = None
        self.late = False
        self.streaming = False
        self._gone = False
        self._room = PIECES_AHEAD
        self._room_lock = threading.Lock()
        self._resume: Callable[[], None] | None = None
        self._owed = 0
        self._able = True
        exchange.watcher = self

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for the answer."""
        return not (self._gone or self.late)

    def arm(self) -> None:
        self.timer = self._calls.loop.call_later(self._calls.timeout_seconds, self._expire)

    def settle(self, outcome: Reply | Exception) -> None:
        """The model has answered, with something whole or an error."""
        self._disarm()
        if not self._gone:
            self.exchange.answer(outcome if isinstance(outcome, Reply) else self._calls.explain(outcome))

    def stream(self, reply: Reply) -> None:
        """Begin to pass on pieces, in the model's thread."""
        self._calls.loop.call_soon_threadsafe(self._begin, reply)

    def _begin(self, reply: Reply) -> None:
        self.streaming = True
        self._disarm()
        if self.wanted:
            self.exchange.begin(reply)
            self.arm()

    def piece(self, data: bytes) -> None:
        """Pass on a piece, in the model's thread."""
        with self._room_lock:
            self._room -= 1
        self._calls.loop.call_soon_threadsafe(self._send, data)

    def waits(self, resume: Callable[[], None]) -> bool:
        """Whether the caller must take some before more is made. If so, `resume` is called when it has, or is gone."""
        with self._room_lock:
            if self._room > 0 or not self.wanted:
                return False
            self._resume = resume
            return True

    def finish(self, error: Exception | None) -> None:
        self._disarm()
        if self._gone:
            return
        if error is None:
            self.exchange.end()
        else:
            self._calls.explain(error)  # for the log; what was sent cannot be taken back
            self.exchange.abort()

    def _send(self, data: bytes) -> None:
        self._disarm()
        if self.wanted:
            self.exchange.piece(data)
            if self._able:
                self.arm()
        self._owed += 1
        if self._able or not self.wanted:
            self._pay()

    def writable(self, able: bool) -> None:
        """A caller who takes nothing does not make the model late: the connection has its own patience."""
        self._able = able
        self._disarm()
        if able:
            self.arm()
            self._pay()

    def gone(self) -> None:
        self._gone = True
        if self.streaming and self.timer is None:
            self.arm()  # the generator must come to its end, whoever waits for it
        self._pay()

    def _pay(self) -> None:
        with self._room_lock:
            self._room += self._owed
            self._owed = 0
            resume = self._resume if self._room > 0 or not self.wanted else None
            if resume is not None:
                self._resume = None
        if resume is not None:
            resume()

    def _disarm(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _expire(self) -> None:
        self.timer = None
        self.late = True
        self._pay()
        self._calls.one_is_late(self)
        if self.streaming:
            self.exchange.abort()
        else:
            self.exchange.answer(self._calls.explain(TimeoutError()))


class Job:
    """Calls that a thread takes together. `taken` and `late` are about the thread."""

    __slots__ = ("calls", "done", "late", "taken")

    def __init__(self, calls: list[Call]) -> None:
        self.calls = calls
        self.taken = self.late = False
        self.done: Callable[[], None] | None = None


class Calls:
    """`count` threads that ask `model`."""

    def __init__(self, model: Model, count: int, timeout_seconds: float, explain: Callable[[Exception], Reply]) -> None:
        self.loop = asyncio.get_running_loop()
        self.timeout_seconds = timeout_seconds
        self.explain = explain
        self.running = 0
        self.hung = asyncio.Event()
        self._model = model
        self._count = count
        self._jobs: dict[Call, Job] = {}
        self._late_threads = 0
        self._queue: queue.SimpleQueue[Job | Stream] = queue.SimpleQueue()
        for number in range(count):
            threading.Thread(target=self._work, name=f"invoke_{number}", daemon=True).start()

    @property
    def hangs(self) -> bool:
        """Whether every thread is busy with a call that should have been over."""
        return self._late_threads >= self._count

    @property
    def idle(self) -> bool:
        """Whether a thread has nothing to do."""
        return self.running < self._count

    def call(self, exchange: Exchange, request: Request) -> Call:
        """A call whose time has begun, to be given to `submit`. Raises Refused when too many wait already."""
        if len(self._jobs) >= WAITING_LIMIT:
            raise Refused(503, f"{len(self._jobs)} requests are waiting for the model already; try again later")
        call = Call(self, exchange, request)
        call.arm()
        return call

    def submit(self, calls: list[Call], done: Callable[[], None] | None = None) -> None:
        """Ask the model as soon as a thread is free. `done` is called on the loop once it has answered."""
        job = Job(calls)
        job.done = done
        self.running += 1
        for call in calls:
            self._jobs[call] = job
        self._queue.put(job)

    def one_is_late(self, call: Call) -> None:
        job = self._jobs.get(call)
        if job is not None and job.taken and not job.late:
            job.late = True
            self._late_threads += 1
            if self.hangs:
                self.hung.set()

    def _over(self, job: Job, outcomes: list[Reply | Exception]) -> None:
        self.running -= 1
        if job.late:
            self._late_threads -= 1
            self.hung.clear()
        for call, outcome in zip(job.calls, outcomes, strict=False):
            call.settle(outcome)
        for call in job.calls:
            self._jobs.pop(call, None)
        if job.done is not None:
            job.done()

    def _work(self) -> None:
        while True:
            work = self._queue.get()
            try:
                if isinstance(work, Stream):
                    self._go_on(work)
                else:
                    self._take(work)
            except RuntimeError:
                return  # the loop is closed: nobody is there any more

    def _take(self, job: Job) -> None:
        job.taken = True
        calls = [call for call in job.calls if call.wanted]
        outcomes: list[Reply | Exception] = []
        stream: Stream | None = None
        if len(calls) > 1:
            outcomes = cast(Joining, self._model).invoke_joined([call.request for call in calls])
        elif calls:
            stream = self._one(calls[0], job, outcomes)
        job.calls, left = calls, [call for call in job.calls if call not in calls]
        for call in left:
            self.loop.call_soon_threadsafe(self._jobs.pop, call, None)
        if stream is not None:
            self._go_on(stream)
        else:
            self.loop.call_soon_threadsafe(self._over, job, outcomes)

    def _one(self, call: Call, job: Job, outcomes: list[Reply | Exception]) -> "Stream | None":
        """Ask for one answer: it is added to `outcomes`, or returned when it comes piece by piece."""
        try:
            reply = self._model.invoke(call.request)
        except BaseException as error:
            outcomes.append(survived(error))
            return None
        if isinstance(reply.body, bytes):
            outcomes.append(reply)
            return None
        call.stream(reply)
        return Stream(call, job, reply.body)

    def _go_on(self, stream: "Stream") -> None:
        """Pass on pieces until the caller has enough for now, wants no more, or there are none; then close."""
        call, job = stream.call, stream.job
        job.taken = True
        fault: Exception | None = None
        try:
            while call.wanted:
                call.piece(next(stream.pieces))
                job.taken = False  # for as long as it waits, others have the thread
                if call.waits(partial(self._queue.put, stream)):
                    return
                job.taken = True
        except StopIteration:
            pass  # that was all
        except BaseException as error:
            fault = survived(error)
        fault = stream.close() or fault
        self.loop.call_soon_threadsafe(call.finish, fault)
        self.loop.call_soon_threadsafe(self._over, job, [])


class Stream:
    """An answer that is passed on piece by piece."""

    __slots__ = ("call", "job", "pieces")

    def __init__(self, call: Call, job: Job, pieces: Iterator[bytes]) -> None:
        self.call = call
        self.job = job
        self.pieces = pieces

    def close(self) -> Exception | None:
        """End the generator, as at its own end; return what it raised of that."""
        close = getattr(self.pieces, "close", None)
        try:
            if close is not None:
                close()
        except BaseException as error:
            return survived(error)
        return None


def pass_on(pieces: Iterator[bytes], piece: Callable[[bytes], bool]) -> None:
    """Give each piece to `piece` as it comes, until that says no; then close the generator, as at its end."""
    try:
        for data in pieces:
            if not piece(data):
                break
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()


def survived(error: BaseException) -> Exception:
    """What a script raised, even where it wanted to end the interpreter: one request must not end the server."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(f"the script ended with {error!r}")
