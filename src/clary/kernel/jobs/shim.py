"""Look after one host from its first input to its last output.

A shim is a process of its own that needs nothing of who started it. It holds the lock of the host's folder for as
long as it lives, and writes each step to `state.json` before anybody can see it. When it dies, its sandbox dies with
it, and observers see that the lock is free: the host is lost, never half alive.

The main thread does the work in order: stage, launch, supervise, upload.
"""

import contextlib
import os
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from clary.kernel.core.clock import Clock
from clary.kernel.jobs import uploads
from clary.kernel.jobs.archives import opened
from clary.kernel.jobs.console import Console
from clary.kernel.jobs.contract import (
    FAILURE_REASON_LIMIT,
    Failure,
    HostSpec,
    InputMode,
    Kind,
    Observation,
    Outcome,
    Output,
    Phase,
)
from clary.kernel.jobs.feeding import Feeder
from clary.kernel.jobs.folder import HostFolder, empty
from clary.kernel.jobs.health import Health
from clary.kernel.jobs.on_demand.container import Container
from clary.kernel.jobs.on_demand.disk import Disk
from clary.kernel.jobs.on_demand.door import Door
from clary.kernel.jobs.on_demand.shelf import Shelf
from clary.kernel.jobs.sandbox import Process, Sandbox, SandboxFault
from clary.kernel.jobs.services import ClientFault, Services
from clary.kernel.jobs.staging import Cancelled, Staging
from clary.kernel.jobs.supervision import Bench, Supervision, Verdict


class Shim:
    """One host. `run` returns when all is done and recorded."""

    def __init__(self, folder: HostFolder, spec: HostSpec, services: Services, sandbox: Sandbox, clock: Clock) -> None:
        self._folder = folder
        self._spec = spec
        self._services = services
        self._sandbox = sandbox
        self._clock = clock
        self._seen = Observation(
            spec.job,
            spec.host,
            Phase.PENDING,
            {Phase.PENDING: folder.created_at()},
            shim_pid=os.getpid(),
            port=spec.port,
        )
        self._console = Console(spec, folder.log, services.telemetry, clock, self._complain)
        self._scratch = folder.path / "scratch"
        self._feeders: list[Feeder] = []
        self._syncs: list[tuple[Output, uploads.ContinuousSync]] = []
        self._telling = threading.Lock()
        self._bench = Bench()

    def run(self) -> None:
        """Everything, to the end, which is recorded unless that itself fails."""
        end: dict[str, Any]
        try:
            end = self._work()
        except Cancelled:
            end = _end(Outcome.STOPPED)
        except ClientFault as fault:
            end = _end(Outcome.FAILED, Failure.CLIENT, str(fault))
        except SandboxFault as fault:
            end = _end(Outcome.FAILED, Failure.INTERNAL, str(fault))
        except Exception as error:  # noqa: BLE001  # a fault of ours must not leave the host without an end
            self._complain(f"{type(error).__name__}: {error}", error)
            end = _end(Outcome.FAILED, Failure.INTERNAL, f"The platform failed to run this host: {error!r}.")
        self._console.close()
        self._enter(Phase.ENDED, metrics=self._console.final_metrics, healthy=None, **end)
        empty(self._folder.box)
        self._folder.door.unlink(missing_ok=True)
        self._services.close()

    def _work(self) -> dict[str, Any]:
        self._enter(Phase.DOWNLOADING)
        self._scratch.mkdir(exist_ok=True)
        staged = self._stage()
        process = self._launch()
        socket, door = self._socket, self._open_models(process)
        self._enter(
            Phase.RUNNING,
            pid=process.pid,
            bytes_downloaded=staged,
            socket=str(socket) if socket else None,
            models_socket=str(door.path) if door else None,
        )
        try:
            code = self._supervise(process)
        finally:
            process.kill()
            if door is not None:
                door.close()
            for feeder in self._feeders:
                feeder.close()
        streamed = sum(feeder.bytes for feeder in self._feeders)
        end = self._judge(code, process)
        process.close()
        self._console.flush()
        self._enter(Phase.UPLOADING, bytes_downloaded=staged + streamed, healthy=None)
        return self._upload(end)

    def _stage(self) -> int:
        def check() -> None:
            if self._folder.stop_requested():
                raise Cancelled

        check()
        ml = self._folder.ml
        ml.mkdir(parents=True, exist_ok=True)
        staging = Staging(self._services, ml, read_only_views=self._sandbox.read_only_views, check=check)
        staging.fill(self._spec)
        for channel in self._spec.channels:
            if channel.mode is InputMode.PIPE:
                self._feeders.append(Feeder(self._services.objects, channel, ml, self._scratch, self._feeder_failed))
        for output in self._spec.outputs:
            if output.continuous or output.live:
                sync = uploads.TreeSync(self._services.objects, output, ml, self._scratch)
                if output.live or output.resumes:
                    sync.adopt()
                tell = self._tell_stored if output.live else None
                self._syncs.append((output, uploads.ContinuousSync(sync, self._clock, self._complain, tell)))
        check()
        return staging.bytes

    def _launch(self) -> Process:
        self._enter(Phase.STARTING)
        if self._spec.socket:
            (self._folder.open_door() / self._spec.socket).parent.mkdir(parents=True, exist_ok=True)
        return self._sandbox.launch(self._spec, self._folder)

    def _open_models(self, process: Process) -> Door | None:
        """Where models are asked for, when the service is given some on demand."""
        spec, address = self._spec.on_demand, self._address
        if spec is None or address is None:
            return None
        disk = Disk(spec, lambda: self._services.objects, self._folder.ml, self._scratch)
        telemetry = self._services.telemetry
        shelf = Shelf(spec, disk, Container(address), process.ml, telemetry, self._clock, self._complain)
        return Door(self._folder.models_socket, shelf)

    def _supervise(self, process: Process) -> int:
        address = self._address if self._spec.kind is Kind.SERVICE else None

        def health_changed(health: Health) -> None:
            self._change(healthy=health is Health.WELL, refuses=health is Health.REFUSES)

        return Supervision(
            spec=self._spec,
            folder=self._folder,
            process=process,
            console=self._console,
            bench=self._bench,
            clock=self._clock,
            address=address,
            health_changed=health_changed,
        ).run()

    def _judge(self, code: int, process: Process) -> dict[str, Any]:
        """How it ended, from what was decided while it ran, its exit code, and what it left behind."""
        signal = code - 128 if 128 < code <= 128 + 64 else None
        failure, message = self._words()
        said = failure or message
        verdict = self._bench.verdict
        if verdict is not None:
            end = _end(verdict.outcome, verdict.failure, verdict.reason or said)
            return end | {"exit_code": code, "signal": signal, "message": message}
        if code == 0:
            return _end(Outcome.COMPLETED, None, said) | {"exit_code": code, "message": message}
        reason = process.remark() or said or self._console.last_words() or f"The process ended with exit code {code}."
        end = _end(Outcome.FAILED, Failure.ALGORITHM, reason)
        return end | {"exit_code": code, "signal": signal, "message": message}

    def _words(self) -> tuple[str, str]:
        """What the process left in its failure file and in its message file."""
        with opened(self._folder.ml, "output") as tree:
            if tree is None:
                return "", ""
            limit = FAILURE_REASON_LIMIT * 4  # in bytes
            failure, message = (tree.read_text(name, limit) or "" for name in ("failure", "message"))
            return failure[:FAILURE_REASON_LIMIT], message[:FAILURE_REASON_LIMIT]

    def _upload(self, end: dict[str, Any]) -> dict[str, Any]:
        stored: list[str] = []
        failed = end["outcome"] is Outcome.FAILED
        try:
            for synced, sync in self._syncs:
                sync.close()
                if sync.stored:
                    stored += sync.stored if synced.live else [synced.uri]
            for output in self._spec.outputs:
                if not (output.continuous or output.live) and (output.on_failure or not failed):
                    stored += uploads.upload(self._services.objects, output, self._folder.ml, self._scratch)
        except ClientFault as fault:
            end = end | _end(Outcome.FAILED, Failure.CLIENT, f"Output upload failed: {fault}")
        return end | {"outputs": tuple(stored)}

    @property
    def _address(self) -> int | Path | None:
        return self._socket or self._spec.port

    @property
    def _socket(self) -> Path | None:
        return self._folder.door / self._spec.socket if self._spec.socket else None

    def _tell_stored(self) -> None:
        self._change(outputs=tuple(uri for output, sync in self._syncs if output.live for uri in sync.stored))

    def _feeder_failed(self, error: Exception) -> None:
        failure = Failure.CLIENT if isinstance(error, ClientFault) else Failure.INTERNAL
        self._bench.decide(Verdict(Outcome.FAILED, failure, str(error)))
        self._folder.poke()

    def _enter(self, phase: Phase, **changes: Any) -> None:
        self._change(phase=phase, phases=self._seen.phases | {phase: self._clock.now()}, **changes)

    def _change(self, **changes: Any) -> None:
        """Record something new about the host, durably, then tell."""
        with self._telling:
            self._seen = replace(self._seen, **changes)
            self._folder.save(self._seen)
        if self._spec.wake is not None:
            self._services.wake(self._spec.wake.topic, self._spec.wake.key)

    def _complain(self, message: str, error: BaseException | None = None) -> None:
        """Write to the shim's own log; must work when nothing else does."""
        with contextlib.suppress(OSError), open(self._folder.shim_log, "a") as file:
            file.write(message + "\n")
            if error is not None:
                traceback.print_exception(error, file=file)


def look_after(folder: HostFolder, services_of: Callable[[HostSpec], Services], sandbox: Sandbox, clock: Clock) -> None:
    """Run the host of a folder that we have taken. Whatever goes wrong, it does not remain without an end."""
    try:
        spec = folder.spec()
        Shim(folder, spec, services_of(spec), sandbox, clock).run()
    except Exception as error:
        end = _end(Outcome.FAILED, Failure.INTERNAL, f"The platform failed to run this host: {error!r}.")
        folder.save(Observation(folder.job, folder.host, Phase.ENDED, {Phase.ENDED: clock.now()}, **end))
        raise


def _end(outcome: Outcome, failure: Failure | None = None, reason: str = "") -> dict[str, Any]:
    return {"outcome": outcome, "failure": failure, "reason": reason[:FAILURE_REASON_LIMIT]}
