"""Lambda: the function is invoked with the step's arguments as its event, and waited for without a thread.

At most once: that an invocation begins is on disk before it does. What it answered is known only to the process that
asked; when that dies first, the step fails and says that the function may have run, since asking again could run it
twice. RetryPipelineExecution runs it again.
"""

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import orjson

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, OnePerPlatform, Platform
from clary.systems.pipelines.names import TOPIC
from clary.systems.pipelines.records import PipelineStep
from clary.systems.pipelines.statuses import EXECUTING, FAILED, SUCCEEDED
from clary.systems.pipelines.steps.contract import THROTTLING, Driver, Progress, Work, refused
from clary.systems.pipelines.steps.outputs import BadOutput, declared, shown

LONGEST_SECONDS = 600.0
_LONGEST_REASON = 900


class Calls:
    """Invocations under way in this process, by execution, step, run and attempt."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._own: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._futures: dict[tuple[str, str, int, int], Future[dict[str, Any]]] = {}

    def begin(self, work: Work, event: Mapping[str, Any]) -> None:
        call = work.role.call_async(
            "lambda", "Invoke", {"FunctionName": _function(work), "Payload": orjson.dumps(event)}
        )
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(call, LONGEST_SECONDS), self._loop())
        self._futures[_key(work)] = future
        key = f"{work.execution.account}/{work.execution.region}/{work.execution.name}"
        future.add_done_callback(lambda _: self._platform.wake(TOPIC, key))

    def of(self, work: Work) -> Future[dict[str, Any]] | None:
        return self._futures.get(_key(work))

    def forget(self, work: Work) -> bool:
        return self._futures.pop(_key(work), None) is not None

    def close(self) -> None:
        for future in self._futures.values():
            future.cancel()
        if self._own is not None and self._thread is not None:
            self._own.call_soon_threadsafe(self._own.stop)
            self._thread.join()

    def _loop(self) -> asyncio.AbstractEventLoop:
        """The platform's event loop; one of our own in a process without."""
        if self._platform.loop is not None:
            return self._platform.loop
        with self._lock:
            if self._own is None:
                self._own = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=(self._own,), name="pipelines-functions", daemon=True)
                self._thread.start()
            return self._own


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Run an event loop until it is stopped, and end what runs on it."""
    loop.run_forever()
    tasks = asyncio.all_tasks(loop)

    async def end() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    loop.run_until_complete(end())
    loop.close()


def _function(work: Work) -> str:
    return work.record.arn or str(work.siblings["FunctionArn"])


def _key(work: Work) -> tuple[str, str, int, int]:
    return work.execution.name, work.record.step, work.record.run, work.record.attempt


calls_of = OnePerPlatform(Calls, Calls.close)


class Lambda(Driver):
    """A step that calls a function."""

    def start(self, work: Work, arguments: Mapping[str, Any], *, repeated: bool) -> Progress:
        calls = calls_of(work.own.platform)
        if repeated and calls.of(work) is None:
            return _interrupted(work)
        if not repeated:
            calls.begin(work, arguments)
        return Progress(EXECUTING, arn=_function(work))

    def observe(self, work: Work) -> Progress | None:
        calls = calls_of(work.own.platform)
        call = calls.of(work)
        if call is None:
            return _interrupted(work)
        return _progress(work, call) if call.done() else None

    def forget(self, work: Work) -> bool:
        return calls_of(work.own.platform).forget(work)

    def metadata(self, record: PipelineStep) -> dict[str, Any]:
        return {"Lambda": {"Arn": record.arn, "OutputParameters": shown(record.outputs)}} if record.arn else {}

    def properties(self, own: Context, record: PipelineStep) -> Mapping[str, Any]:
        return {"OutputParameters": record.outputs}


def _interrupted(work: Work) -> Progress:
    function = _function(work)
    return Progress(
        FAILED,
        arn=function,
        reason=f"InternalServerError: the platform was restarted while {function} was called. It may have run; retry "
        "the execution to call it again.",
    )


def _progress(work: Work, call: Future[dict[str, Any]]) -> Progress:
    function = _function(work)
    try:
        answer = call.result()
    except AwsError as error:
        failed = refused("lambda:Invoke", error)
        once = failed.failure if failed.failure == THROTTLING else ""  # anything else may have run
        return Progress(FAILED, arn=function, reason=failed.reason, failure=once)
    except TimeoutError:
        return _failed(function, f"it took longer than {LONGEST_SECONDS:.0f} seconds")
    except BaseException as error:  # noqa: BLE001 - it was cancelled, or died of a fault of ours
        return Progress(
            FAILED, arn=function, reason=f"InternalServerError: the call of {function} broke off: {error!r}"
        )
    payload = answer.get("Payload") or b"null"
    text = payload.decode(errors="replace")
    if answer.get("FunctionError"):
        return _failed(function, f"it answered with an error ({answer['FunctionError']}): {text[:_LONGEST_REASON]}")
    try:
        returned = orjson.loads(payload)
        outputs = declared(work.step, returned if isinstance(returned, dict) else {}, f"What {function} returned")
    except orjson.JSONDecodeError:
        return _failed(function, f"it returned no JSON: {text[:_LONGEST_REASON]}")
    except BadOutput as error:
        return Progress(FAILED, arn=function, reason=f"ClientError: {error}")
    return Progress(SUCCEEDED, arn=function, outputs=outputs)


def _failed(function: str, why: str) -> Progress:
    return Progress(FAILED, arn=function, reason=f"ClientError: Lambda function {function} failed: {why}")
