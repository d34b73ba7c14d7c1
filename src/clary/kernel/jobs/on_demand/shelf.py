"""Which models a service has: loads those that are asked for, and makes room by what was used least lately.

A model that is asked for by many at once is downloaded and loaded once; different models are loaded side by side, until
the service has no room: then one after another, each once enough is unloaded. A model that somebody asked for is not
unloaded before it was used (see `words`), however scarce the room.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from clary.kernel.core.clock import Clock
from clary.kernel.jobs.contract import OnDemand
from clary.kernel.jobs.on_demand.container import NO_ROOM, Container, Said, Unanswered
from clary.kernel.jobs.on_demand.disk import MODELS, Disk, DiskFull
from clary.kernel.jobs.on_demand.words import LEASE_SECONDS, Fault, model_id
from clary.kernel.jobs.services import ClientFault, Telemetry

REPORT_SECONDS = 30.0
_LOOK_SECONDS = 1.0

Complain = Callable[[str, BaseException | None], None]


class NotLoaded(Exception):
    """The model is not loaded. `status` is the service's, 0 when it gave none."""

    def __init__(self, fault: Fault, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.fault = fault
        self.status = status


class _Loading:
    """One loading of a model, for all who wait for it."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.hit = False
        self.error: NotLoaded | None = None
        self.given_up = 0  # how many did not wait for the end, and may ask again


@dataclass
class _Model:
    """A model that was asked for. `leases` are when the uses of those who loaded it end at the latest.

    Who loads or unloads it holds `busy`. `waiting` is while it is being loaded and waits for others to leave.
    """

    name: str
    identity: str
    loaded: bool = False
    used_at: float = 0.0
    leases: deque[float] = field(default_factory=deque)
    loading: _Loading | None = None
    waiting: bool = False
    busy: threading.Lock = field(default_factory=threading.Lock)

    def in_use(self, now: float) -> bool:
        while self.leases and self.leases[0] <= now:
            self.leases.popleft()
        return bool(self.leases) or self.loading is not None


class Shelf:
    """The models of one host. `ml` is where the service sees its /opt/ml."""

    def __init__(
        self,
        spec: OnDemand,
        disk: Disk,
        container: Container,
        ml: str,
        telemetry: Telemetry,
        clock: Clock,
        complain: Complain,
    ) -> None:
        self._spec = spec
        self._disk = disk
        self._container = container
        self._ml = ml
        self._telemetry = telemetry
        self._clock = clock
        self._complain = complain
        self._models: dict[str, _Model] = {}
        self._changing = threading.Condition()
        self._making_room = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._tend, name="shelf", daemon=True).start()

    def load(self, name: str, wait_seconds: float) -> bool:
        """Have the model loaded, and not unloaded before `release`; whether it was loaded before. Raises NotLoaded."""
        with self._changing:
            identity = model_id(name)
            model = self._models.setdefault(identity, _Model(name, identity))
            model.used_at = self._clock.monotonic()
            model.leases.append(model.used_at + wait_seconds + LEASE_SECONDS)
            loading = model.loading
            if loading is None:
                loading = model.loading = _Loading()
                threading.Thread(target=self._run, args=(model, loading), name="load", daemon=True).start()
        self._clock.wait(loading.over, wait_seconds)
        with self._changing:
            if not loading.over.is_set():
                loading.given_up += 1
        if loading.over.is_set() and loading.error is None:
            return loading.hit
        self.release(name)
        error = loading.error
        if error is None:
            raise NotLoaded(Fault.LOADING, f'The model "{name}" is still being downloaded or loaded.')
        raise NotLoaded(error.fault, str(error), error.status)  # one of our own: several threads raise it

    def release(self, name: str) -> None:
        """Say that one of those who loaded the model has used it."""
        with self._changing:
            model = self._models.get(model_id(name))
            if model is None:
                return
            if model.leases:
                model.leases.popleft()
            self._changing.notify_all()
        self._tidy(model)

    def used(self, names: Iterable[str]) -> None:
        """Say that these models were used lately."""
        now = self._clock.monotonic()
        with self._changing:
            for name in names:
                model = self._models.get(model_id(name))
                if model is not None:
                    model.used_at = now

    def close(self) -> None:
        self._closed.set()
        with self._changing:
            self._changing.notify_all()

    def _run(self, model: _Model, loading: _Loading) -> None:
        """Load one model, and tell those who wait."""
        try:
            with model.busy:
                loading.hit = self._container.has(model.identity)
                if not loading.hit:
                    self._fetch(model)
                    self._fit(model)
        except NotLoaded as error:
            loading.error = error
        except ClientFault as fault:
            loading.error = NotLoaded(Fault.DATA, str(fault))
        except Unanswered as error:
            loading.error = NotLoaded(Fault.GONE, str(error))
        except Exception as error:  # noqa: BLE001 - whoever waits must not wait for ever
            self._complain(f'loading the model "{model.name}" failed: {error!r}', error)
            loading.error = NotLoaded(Fault.GONE, f"The platform failed to load this model: {error!r}.")
        with self._changing:
            model.loading = None
            model.loaded = loading.error is None
            loading.over.set()
            if model.loaded:  # who gave up was told to ask again, and should find it
                model.leases.extend([self._clock.monotonic() + LEASE_SECONDS] * loading.given_up)
            self._changing.notify_all()
        if not loading.hit:
            self._report_count()
        self._tidy(model)

    def _fetch(self, model: _Model) -> None:
        """Have the model on the disk, removing others from it when it is full."""
        began = self._clock.monotonic()
        while True:
            try:
                downloaded = self._disk.fetch(model.name)
                break
            except DiskFull as full:
                if not self._clear_disk():
                    raise ClientFault(f'There is no room on the disk for the model "{model.name}". {full}') from None
        took = self._clock.monotonic() - began
        if downloaded:
            self._report("ModelDownloadingTime", took)
        if took > self._spec.download_timeout_seconds:
            limit = self._spec.download_timeout_seconds
            raise ClientFault(f'The download of the model "{model.name}" took more than {limit:g} s.')

    def _fit(self, model: _Model) -> None:
        """Have the service load the model, unloading others when it has no room. Raises NotLoaded."""
        deadline = self._clock.monotonic() + self._spec.load_timeout_seconds
        said = self._tell_to_load(model, deadline)
        if said.status == NO_ROOM:
            model.waiting = True
            try:
                with self._making_room:
                    said = self._make_room(model, deadline, said)
            finally:
                model.waiting = False
        if not said.good:
            raise NotLoaded(Fault.REFUSED, said.message, said.status)

    def _make_room(self, model: _Model, deadline: float, said: Said) -> Said:
        """Unload others, the least lately used first, until the model is loaded or nothing is left to unload.

        `said` is what the service said to the last attempt, and so is what is returned.
        """
        while said.status == NO_ROOM:
            while not self._unload_one():
                with self._changing:
                    hope = any(other.loaded or (other.loading and not other.waiting) for other in self._models.values())
                    late = self._clock.monotonic() >= deadline
                    if not hope or late or self._closed.is_set():
                        return said
                    # Whatever is loaded is in use: some of it will be released, or its users be known to be gone.
                    self._changing.wait(_LOOK_SECONDS)
            said = self._tell_to_load(model, deadline)
        return said

    def _tell_to_load(self, model: _Model, deadline: float) -> Said:
        began = self._clock.monotonic()
        url = f"{self._ml}/{MODELS}/{model.identity}/model"
        said = self._container.load(model.identity, model.name, url, max(deadline - began, _LOOK_SECONDS))
        if said.good:
            self._report("ModelLoadingTime", self._clock.monotonic() - began)
        return said

    def _unload_one(self) -> bool:
        """Unload the model that was used least lately, of those that nobody uses; whether there was one."""
        return self._take_away(self._least_lately(lambda model: model.loaded), from_disk=not self._spec.keep)

    def _clear_disk(self) -> bool:
        """Remove a model from the disk, rather one that is not loaded; whether there was one to remove."""
        on_disk = [model.identity for model in list(self._models.values()) if self._disk.holds(model.identity)]
        idle = self._least_lately(lambda model: not model.loaded and model.identity in on_disk)
        return self._take_away(idle or self._least_lately(lambda model: model.identity in on_disk), from_disk=True)

    def _least_lately(self, suits: Callable[[_Model], bool]) -> _Model | None:
        with self._changing:
            now = self._clock.monotonic()
            free = [model for model in self._models.values() if suits(model) and not model.in_use(now)]
            return min(free, key=lambda model: model.used_at, default=None)

    def _take_away(self, model: _Model | None, *, from_disk: bool) -> bool:
        """Unload a model that nobody uses, and remove it from the disk; whether that was so and is done."""
        if model is None or not model.busy.acquire(blocking=False):
            return False
        try:
            with self._changing:
                if model.in_use(self._clock.monotonic()):
                    return False
                loaded, model.loaded = model.loaded, False
            # Who asks for the model from here on waits for `busy`, and then finds it gone.
            if loaded:
                self._unload(model)
            if from_disk:
                self._disk.remove(model.identity)
        finally:
            model.busy.release()
        with self._changing:
            self._drop_if_nothing(model)
            self._changing.notify_all()
        return True

    def _unload(self, model: _Model) -> None:
        began = self._clock.monotonic()
        try:
            said = self._container.unload(model.identity, model.name)
        except Unanswered as error:
            self._complain(f'unloading the model "{model.name}": {error}', None)
            return
        if not said.good:
            self._complain(f'unloading the model "{model.name}" was answered with {said.status}: {said.message}', None)
            return
        self._report("ModelUnloadingTime", self._clock.monotonic() - began)
        self._report_count()

    def _tidy(self, model: _Model) -> None:
        """Take away what is not to be kept once nobody uses it, and forget what there is nothing of."""
        if not self._spec.keep:
            self._take_away(model, from_disk=True)
        with self._changing:
            self._drop_if_nothing(model)

    def _drop_if_nothing(self, model: _Model) -> None:
        idle = not model.loaded and not model.in_use(self._clock.monotonic())
        if idle and not self._disk.holds(model.identity) and self._models.get(model.identity) is model:
            del self._models[model.identity]

    def _tend(self) -> None:
        """Now and then: believe the service about what is loaded, report how much, and end uses that nobody ended."""
        while not self._clock.wait(self._closed, REPORT_SECONDS):
            with contextlib.suppress(Unanswered, ValueError):  # then what is known here has to do
                self._compare(self._container.loaded())
            self._report_count()
            for model in list(self._models.values()):
                self._tidy(model)

    def _compare(self, loaded: set[str]) -> None:
        """Take note of models that the service has lost, as it does when a process of its own dies."""
        for model in list(self._models.values()):
            if model.loaded and model.identity not in loaded and model.busy.acquire(blocking=False):
                try:
                    model.loaded = self._container.has(model.identity)
                finally:
                    model.busy.release()

    def _report(self, name: str, seconds: float) -> None:
        if self._spec.metric_namespace:
            values = [(name, float(round(seconds * 1e6)), self._clock.now())]
            self._tell(self._spec.metric_namespace, values, "Microseconds")

    def _report_count(self) -> None:
        if self._spec.count_namespace:
            count = sum(model.loaded for model in list(self._models.values()))
            self._tell(self._spec.count_namespace, [("LoadedModelCount", float(count), self._clock.now())], "None")

    def _tell(self, namespace: str, values: list[tuple[str, float, float]], unit: str) -> None:
        try:
            self._telemetry.metric(namespace, self._spec.metric_dimensions, values, unit)
        except Exception as error:  # noqa: BLE001 - a metric that cannot be kept must not keep a model from its users
            self._complain("a metric was lost", error)
