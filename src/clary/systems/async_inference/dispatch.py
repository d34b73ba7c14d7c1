"""Sends what waits to model servers: in order of arrival, as many at once as an instance may have.

One dispatcher for a platform, on an event loop in a thread of its own, since requests take up to an hour. It keeps
nothing that matters: what is queued, where servers are and which instances are held all stand in key-value domains, so
one that is killed is followed by another that begins anew. It runs in the controller, of which a home has one.
"""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import OnePerPlatform, Platform
from clary.kernel.serving.holds import all_held, hold, let_go
from clary.kernel.serving.routes import DOMAIN, Route, Target, choose_target, load_route, route_key
from clary.systems.async_inference.asking import NotAnswered, ask
from clary.systems.async_inference.backlog import Backlog
from clary.systems.async_inference.outcomes import DOWNLOAD, EXPIRED, Outcome
from clary.systems.async_inference.places import Payload, Places
from clary.systems.async_inference.records import Request
from clary.systems.async_inference.reports import Reports
from clary.systems.async_inference.settling import is_ours, settle
from clary.systems.async_inference.spool import Spool, clear

MOST_ATTEMPTS = 3
DEFAULT_CONCURRENCY = 1

_LOOK_SECONDS = 0.5
_THREADS = 32
_ENDING_AT_ONCE = 16
_SHUN_SECONDS = 0.5
_AGAIN_SECONDS = 1.0
_LONGEST_BACK_OFF_SECONDS = 60.0
_HOLD_BEYOND_SECONDS = 60.0
_IDLE_SECONDS = 1.0

_log = logging.getLogger("clary.async_inference")


class Dispatcher:
    """Start it once; `stop` leaves everything that is not done for whoever comes next."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._backlog = Backlog(platform)
        self._kv = platform.kv(DOMAIN)
        self._reports = Reports(platform)
        self._folder = platform.settings.home / "async"
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ending: set[int] = set()
        self._load: Counter[str] = Counter()
        self._shunned: dict[str, float] = {}
        self._resting: dict[int, float] = {}
        self._faults: Counter[int] = Counter()
        self._held: dict[str, float] = {}
        self._idle_since: dict[str, float] = {}
        self._stopping = False
        self._running = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="async-inference", daemon=True)

    # From any thread

    def start(self) -> None:
        self._thread.start()
        self._running.wait()

    def wake(self) -> None:
        """There may be something to do."""
        self._loop.call_soon_threadsafe(self._news.set)

    def stop(self) -> None:
        """Give up what is under way, and wait until nothing is."""

        def end() -> None:
            self._stopping = True
            self._news.set()

        self._loop.call_soon_threadsafe(end)
        self._thread.join()

    # On the event loop

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="async-inference"))
        self._news = asyncio.Event()
        self._running.set()
        clear(self._folder)
        await let_go(self._kv, all_held(self._kv))  # whoever held them is gone, and its requests with it
        while not self._stopping:
            self._news.clear()
            try:
                self._look()
                await self._let_go()
                await self._reports.flush()
            except Exception:  # noqa: BLE001 - whatever is wrong now, what is queued must be answered some time
                _log.exception("looking at the queues failed; trying again")
            try:
                await asyncio.wait_for(self._news.wait(), _LOOK_SECONDS)
            except TimeoutError:
                continue
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._reports.flush(at_once=True)

    def _look(self) -> None:
        """Begin all that can begin now."""
        now = self._loop.time()
        self._resting = {number: until for number, until in self._resting.items() if until > now}
        self._shunned = {instance: until for instance, until in self._shunned.items() if until > now}
        for request in self._backlog.expired(self._platform.clock.now(), self._taken()):
            self._end(request, "Your invocation request expired: it waited until its RequestTTLSeconds had passed.")
        for queue in self._backlog.queues():
            account, region, endpoint, revision = queue.split("/", 3)
            table = self._kv.get(route_key(account, region, endpoint))
            route = load_route(table) if table is not None else None
            if route is not None and route.revision == revision:
                self._fill(queue, route)
                continue
            for request in self._backlog.first(queue, _ENDING_AT_ONCE, self._taken()):
                self._end(request, f"Endpoint {endpoint} was deleted before the request was answered.", expired=False)

    def _taken(self) -> set[int]:
        return self._tasks.keys() | self._resting.keys()

    def _fill(self, queue: str, route: Route) -> None:
        """Send the first requests of a queue to instances that may have more."""
        client = route.asynchronous.config.get("ClientConfig", {}) if route.asynchronous else {}
        most = client.get("MaxConcurrentInvocationsPerInstance", DEFAULT_CONCURRENCY)
        wanted = _wanted(route.targets)  # while traffic shifts, two of them are of one variant
        free = [
            {
                instance: room
                for instance in target.servers
                if instance not in self._shunned and (room := most - self._load[instance]) > 0
            }
            for target in wanted
        ]
        slots = sum(sum(instances.values()) for instances in free)
        for request in self._backlog.first(queue, slots, self._taken()) if slots else ():
            able = [target for target, instances in zip(wanted, free, strict=True) if any(instances.values())]
            target = choose_target(able)
            assert target is not None
            instances = free[next(place for place, one in enumerate(wanted) if one is target)]
            instance = max(instances, key=instances.__getitem__)
            instances[instance] -= 1
            self._load[instance] += 1
            self._begin(request, self._serve(request, target, instance))

    def _end(self, request: Request, reason: str, *, expired: bool = True) -> None:
        """Begin to say that a request will not be answered."""
        if len(self._ending) >= _ENDING_AT_ONCE:
            return
        self._ending.add(request.number)
        outcome = Outcome(f"ClientError: {reason}", failure=EXPIRED if expired else "", asked=False)
        self._begin(request, self._finish(request, outcome))

    def _begin(self, request: Request, work: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            try:
                await work
            except Exception:  # noqa: BLE001 - a fault of ours is no reason to lose a request
                self._faults[request.number] += 1
                wait = min(2.0 ** self._faults[request.number], _LONGEST_BACK_OFF_SECONDS)
                _log.exception("request %s failed; trying again in %g s", request.inference_id, wait)
                self._rest(request, wait)
            finally:
                del self._tasks[request.number]
                self._ending.discard(request.number)
                self._news.set()

        self._tasks[request.number] = self._loop.create_task(run())

    def _rest(self, request: Request, seconds: float) -> None:
        self._resting[request.number] = self._loop.time() + seconds

    # One request

    async def _serve(self, request: Request, target: Target, instance: str) -> None:
        begun_at = self._platform.clock.now()
        try:
            with Spool(self._folder) as spool:
                try:
                    outcome = await self._ask(request, target, instance, spool)
                except NotAnswered as failure:
                    self._shunned[instance] = self._loop.time() + _SHUN_SECONDS
                    if failure.untouched or await self._may_try_again(request):
                        return
                    outcome = Outcome(f"ServerError: After {MOST_ATTEMPTS} tries, {failure}.")
                outcome = replace(outcome, variant=target.name, instance=instance, begun_at=begun_at)
                await self._finish(request, outcome)
        finally:
            self._load[instance] -= 1
            self._idle_since[instance] = self._loop.time()

    async def _ask(self, request: Request, target: Target, instance: str, spool: Spool) -> Outcome:
        started = self._loop.time()
        try:
            body = await asyncio.to_thread(self._input, request)
        except AwsError as error:
            if is_ours(error):
                raise
            reason = f"ClientError: The input {request.input_location} could not be downloaded. {error}"
            return Outcome(reason, failure=DOWNLOAD, asked=False)
        downloaded = self._loop.time()
        await self._hold(instance, request.timeout_seconds)
        asked = self._loop.time()
        outcome = await ask(request, target, instance, body, spool)
        answered = self._loop.time()
        return replace(outcome, download_seconds=downloaded - started, model_seconds=answered - asked)

    def _input(self, request: Request) -> Payload:
        if request.input_location:
            return Places(self._platform, request).get(request.input_location)
        body = self._backlog.body(request)
        return Payload(len(body), body)

    async def _may_try_again(self, request: Request) -> bool:
        """Note that a server broke off; whether the request is sent once more."""
        again = replace(request, attempts=request.attempts + 1)
        if again.attempts >= MOST_ATTEMPTS:
            return False
        await self._backlog.note(again)
        self._rest(request, _AGAIN_SECONDS)
        return True

    async def _finish(self, request: Request, outcome: Outcome) -> None:
        """Have an outcome on disk, then forget the request."""
        outcome = await asyncio.to_thread(settle, self._platform, request, outcome)
        if await self._backlog.settle(request):
            self._reports.add(request, outcome)
        self._faults.pop(request.number, None)

    # Instances that are held while something runs on them

    async def _hold(self, instance: str, seconds: float) -> None:
        now = self._platform.clock.now()
        if self._held.get(instance, 0.0) < now + seconds:
            until = now + seconds + _HOLD_BEYOND_SECONDS
            await hold(self._kv, instance, until)
            self._held[instance] = until

    async def _let_go(self) -> None:
        long_ago = self._loop.time() - _IDLE_SECONDS
        idle = [
            instance for instance, since in self._idle_since.items() if since < long_ago and not self._load[instance]
        ]
        for instance in idle:
            del self._idle_since[instance], self._load[instance]
        held = [instance for instance in idle if self._held.pop(instance, None) is not None]
        if held:
            await let_go(self._kv, held)


def _wanted(targets: list[Target]) -> list[Target]:
    """The targets that traffic goes to."""
    return [target for target in targets if target.share * target.weight > 0] or targets


def _started(platform: Platform) -> Dispatcher:
    dispatcher = Dispatcher(platform)
    dispatcher.start()
    return dispatcher


dispatcher_of = OnePerPlatform(_started, Dispatcher.stop)
"""The dispatcher of a platform, which runs until the platform is closed."""
