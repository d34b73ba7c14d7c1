"""`transform`: send every record of this instance's objects to the model, and store the answers object by object.

An object's answers are collected in a draft that moves to the outputs when it is whole; whoever looks after the job
stores what lies there. An object that cannot be transformed is left out and explained; the others go on.
"""

import contextlib
import gzip
import json
import mmap
import os
import shutil
import signal
import sys
import threading
import traceback
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import BinaryIO, NoReturn

from clary.runtime import failure, threads
from clary.runtime.errors import CustomerError
from clary.runtime.paths import MlPaths, ml_paths
from clary.runtime.transform.models import Answer, Model, ModelDied, Unanswered, open_model
from clary.runtime.transform.plan import CHANNEL, UNLIMITED, Pace, Plan, processing_of, read_plan, settle
from clary.runtime.transform.splitting import Data, Payload

OUTPUTS = "output/transform"
DRAFTS = "output/drafts"
CAPTURED = "output/captured"
SUFFIX = ".out"

_CLIENT, _ALGORITHM = "ClientError", "AlgorithmError"
_TOO_MANY_REQUESTS = 429
_PATIENCE_SECONDS = (0.2, 1.0, 3.0)
_EXIT_STOPPED = 128 + signal.SIGTERM


class Stopped(BaseException):
    """The job was asked to stop."""


class Fault(Exception):
    """A payload that cannot be transformed. `blame` is AWS's prefix for whose fault it is.

    `narrow` says that a part of the payload may be found whose fault it is.
    """

    def __init__(self, blame: str, message: str, *, narrow: bool = True) -> None:
        super().__init__(message)
        self.blame = blame
        self.narrow = narrow


@dataclass
class Object:
    """One object under way. `fault` is why it will have no output."""

    place: str
    uri: str
    draft: Path
    file: BinaryIO
    fault: Fault | None = None


def transform() -> NoReturn:
    """Run the job, and end the process: a model that hangs in a thread must not keep it."""
    code = _transform(ml_paths())
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


def _transform(paths: MlPaths) -> int:
    signal.signal(signal.SIGTERM, _stop)
    threads.pin()
    try:
        plan = read_plan(paths)
        with contextlib.closing(open_model(plan, paths)) as model:
            faults = Run(paths, plan, model).all()
    except Stopped:
        return _EXIT_STOPPED
    except CustomerError as error:
        return _fail(paths, f"{_CLIENT}: {error}")
    except ModelDied as error:
        return _fail(paths, f"{_ALGORITHM}: {error}")
    except Exception as error:
        traceback.print_exception(error)
        return _fail(paths, f"{_ALGORITHM}: {failure.describe(error)}")
    if not faults:
        return 0
    more = f" ({len(faults)} objects failed; the log names all)" if len(faults) > 1 else ""
    return _fail(paths, f"{faults[0].blame}: {faults[0]}{more}")


class Run:
    """All objects of one instance, in order; as many payloads at once as the pace allows, of one object or several."""

    def __init__(self, paths: MlPaths, plan: Plan, model: Model) -> None:
        self._paths = paths
        self._plan = plan
        self._model = model
        self._pace: Pace = settle(plan, model.parameters())
        self._processing = processing_of(plan, self._pace)
        self._pool = ThreadPoolExecutor(self._pace.concurrency, thread_name_prefix="transform")
        self._under_way: deque[tuple[Object, Future[bytes] | None]] = deque()
        self._faults: list[Fault] = []
        self._stored = set(plan.done)

    def all(self) -> list[Fault]:
        """Transform every object; return why some have no output. Raises ModelDied."""
        shutil.rmtree(self._paths.root / DRAFTS, ignore_errors=True)
        (self._paths.root / DRAFTS).mkdir(parents=True)
        left = [(place, uri) for place, uri in self._plan.objects.items() if place not in self._plan.done]
        try:
            for number, (place, uri) in enumerate(left):
                draft = self._paths.root / DRAFTS / str(number)
                self._begin(Object(place, uri, draft, open(draft, "wb")))  # noqa: SIM115 - _finish closes it
            while self._under_way:
                self._take_first()
            self._capture()
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
        print(f"transformed {len(left) - len(self._faults)} of {len(left)} objects", flush=True)
        return self._faults

    def _begin(self, one: Object) -> None:
        """Ask for all payloads of an object, taking earlier answers as soon as too many are under way."""
        try:
            with self._opened(one) as data:
                for payload in self._plan.splitter.payloads(data, self._pace.limit, single=self._pace.single):
                    if one.fault is not None:
                        break
                    self._queue(one, self._pool.submit(self._answered, payload))
        except (CustomerError, OSError, EOFError, zlib.error) as error:
            one.fault = one.fault or Fault(_CLIENT, f"{one.uri}: {error}")
        self._queue(one, None)

    def _queue(self, one: Object, future: "Future[bytes] | None") -> None:
        self._under_way.append((one, future))
        while len(self._under_way) > 2 * self._pace.concurrency:
            self._take_first()

    @contextlib.contextmanager
    def _opened(self, one: Object) -> Iterator[Data]:
        """The object's bytes, unpacked when it is compressed."""
        path = self._paths.channel(CHANNEL) / one.place
        if self._plan.gzip:
            path = one.draft.with_suffix(".unpacked")
            with gzip.open(self._paths.channel(CHANNEL) / one.place) as packed, open(path, "wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, 1024 * 1024)
        with open(path, "rb") as file:
            if self._plan.gzip:
                path.unlink()
            if os.fstat(file.fileno()).st_size == 0:
                return (yield b"")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield data

    def _take_first(self) -> None:
        """Wait for the earliest answer and write it down, or finish its object when that was the last one."""
        one, future = self._under_way.popleft()
        if future is None:
            self._finish(one)
        elif one.fault is None:
            try:
                result = future.result()
            except Fault as fault:
                one.fault = Fault(fault.blame, f"{one.uri}{fault}")
            else:
                one.file.write(result)
                if self._plan.assemble_lines and not result.endswith(b"\n"):
                    one.file.write(b"\n")
        else:
            future.cancel()

    def _finish(self, one: Object) -> None:
        """The output of a whole object appears at once, under its final name."""
        one.file.close()
        if one.fault is not None:
            one.draft.unlink()
            print(f"{one.fault.blame}: {one.fault}", file=sys.stderr, flush=True)
            self._faults.append(one.fault)
            return
        output = self._paths.root / OUTPUTS / f"{one.place}{SUFFIX}"
        output.parent.mkdir(parents=True, exist_ok=True)
        one.draft.rename(output)
        self._stored.add(one.place)

    def _capture(self) -> None:
        """Tell which inputs have outputs, and where both are, in the form of manifests."""
        capture = self._plan.capture
        stored = {place: uri for place, uri in self._plan.objects.items() if place in self._stored}
        if capture is None or not stored:
            return
        shared = os.path.commonprefix(list(stored.values()))  # noqa: RUF071 - keys are no paths: "a//b" is not "a/b"
        prefix = shared.rpartition("/")[0] + "/"
        for kind, manifest in (
            ("input", [{"prefix": prefix}, *(uri.removeprefix(prefix) for uri in stored.values())]),
            ("output", [{"prefix": capture.output_prefix}, *(f"{place}{SUFFIX}" for place in stored)]),
        ):
            path = self._paths.root / CAPTURED / kind / capture.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")

    def _answered(self, payload: Payload) -> bytes:
        """What is stored of one payload. Raises Fault whose message begins with the records, or ModelDied."""
        try:
            return self._attempt(payload, self._plan.retries)
        except Fault as fault:
            part, found = self._narrowed(payload, fault) if fault.narrow else (payload, fault)
            raise Fault(found.blame, f"{self._where(part)}: {found}") from None

    def _attempt(self, payload: Payload, retries: int) -> bytes:
        """What is stored of one payload. Raises Fault."""
        try:
            answer = self._ask(payload, retries)
            if answer.ok:
                return self._processing.result(payload.body, answer.body)
        except Unanswered as error:
            raise Fault(_ALGORITHM, str(error), narrow=False) from None
        except CustomerError as error:
            raise Fault(_CLIENT, str(error)) from None
        blame = _CLIENT if answer.status < 500 else _ALGORITHM
        raise Fault(blame, f"{answer.by} answered {answer.status}: {answer.text}")

    def _ask(self, payload: Payload, retries: int) -> Answer:
        """Ask, and ask again, as ModelClientConfig allows, when the model fails or does not answer."""
        body = self._processing.request(payload.body)
        if len(body) > self._pace.limit:
            raise CustomerError(f"InputFilter makes {len(body)} bytes of it, more than MaxPayloadInMB allows")
        for attempt in range(retries + 1):
            last = attempt == retries
            with contextlib.nullcontext() if last else contextlib.suppress(Unanswered):
                answer = self._model.ask(body, streamed=self._pace.limit == UNLIMITED)
                if last or not (answer.status >= 500 or answer.status == _TOO_MANY_REQUESTS):
                    return answer
            threading.Event().wait(_PATIENCE_SECONDS[attempt])
        raise AssertionError("the last attempt answers or raises")

    def _narrowed(self, payload: Payload, fault: Fault) -> tuple[Payload, Fault]:
        """The smallest part of a payload that fails alone, and why: most often one record."""
        while True:
            for half in self._plan.splitter.halves(payload) or ():
                try:
                    self._attempt(half, 0)
                except Fault as found:
                    payload, fault = half, found
                    break
            else:
                return payload, fault

    def _where(self, payload: Payload) -> str:
        if payload.count == 0:
            return ""
        unit, last = self._plan.splitter.unit, payload.first + payload.count - 1
        return f", {unit} {payload.first}" if payload.count == 1 else f", {unit}s {payload.first} to {last}"


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


def _fail(paths: MlPaths, reason: str) -> int:
    failure.record(paths, reason)
    print(reason, file=sys.stderr, flush=True)
    return 1
