"""Drive executions from what their definitions ask for to what their steps have done.

One look at an execution: see what running steps have come to, plan, record what begins and what has ended in one
transaction, and only then ask others to start what was recorded. Whatever is killed when, the next look goes on: a step
that is recorded as Starting is asked for again under its recorded name, by a driver that knows it may be there already.
Looks at one execution never run side by side.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace

from clary.kernel.auth.principals import Principal
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, Platform
from clary.kernel.rooms.roles import limiting_role, role_principal
from clary.kernel.store import AlreadyExists, Batch, Conflict, Entry
from clary.systems.pipelines.beginning import Beginning, Ready, cache_name, first_record, step_of, taken_from
from clary.systems.pipelines.definitions import definitions_of
from clary.systems.pipelines.language.definition import Definition
from clary.systems.pipelines.language.retries import wait_before_retry
from clary.systems.pipelines.language.scheduling import Plan, plan
from clary.systems.pipelines.language.selection import select
from clary.systems.pipelines.language.step_types import FOR_EACH
from clary.systems.pipelines.loops import finished
from clary.systems.pipelines.notices import notices_of
from clary.systems.pipelines.records import PipelineCache, PipelineExecution, PipelineStep
from clary.systems.pipelines.resources import execution_arn
from clary.systems.pipelines.scope import World
from clary.systems.pipelines.starting import state_of
from clary.systems.pipelines.statuses import (
    ACTIVE,
    EXECUTING,
    FAILED,
    STARTING,
    STOPPED,
    STOPPING,
    SUCCEEDED,
    UNDER_WAY,
)
from clary.systems.pipelines.steps import DRIVERS
from clary.systems.pipelines.steps.callbacks import seconds_left
from clary.systems.pipelines.steps.contract import Progress, Work

FAILURE_REASON = "Step failure: One or multiple steps failed."

_MOST_TRIES = 20
_AGAIN_SECONDS = 2.0
_LONGEST_REASON = 1024

_log = logging.getLogger("clary.pipelines")


def drive(platform: Platform, key: str) -> float | None:
    """Take the execution of a key `account/region/execution` as far as it will go now.

    Returns the seconds until time alone changes something.
    """
    account, region, name = key.split("/")
    notices = notices_of(platform)
    for _ in range(_MOST_TRIES):
        entry = platform.records(PipelineExecution).within(account, region).get(name)
        if entry is None or entry.value.status not in ACTIVE:
            notices.forget(key)
            return None
        try:
            look = _Look(platform, entry, notices.take(key))
            seconds = look.go()
            if look.over:
                notices.forget(key)
            return seconds
        except (AlreadyExists, Conflict):
            notices.look_at_all(key)  # somebody wrote in between: read it all again
        except BaseException:
            notices.look_at_all(key)
            raise
    raise Conflict(key)


class _Look:
    """One look at an execution. `news` names the jobs that have gone on, None: look at all."""

    def __init__(self, platform: Platform, entry: Entry[PipelineExecution], news: set[str] | None) -> None:
        self._platform = platform
        self._entry = entry
        self._news = news
        self._definition: Definition = definitions_of(platform).of(entry)
        own = platform.acting_as_root(entry.account, entry.region, "sagemaker", "StartPipelineExecution")
        self._role, self._unassumable = _acting(own, entry.value.acting)
        self._world = World(own, self._role, self._definition, entry.account)
        self._table = own.records(PipelineStep)
        self._stored = {each.value.step: each for each in self._table.all(parent=entry.name)}
        self._records: dict[str, PipelineStep] = {name: each.value for name, each in self._stored.items()}
        self._world.records = self._records
        self._changed: set[str] = set()
        self._batch = Batch(platform.store)
        self._beginning = Beginning(self._world, entry, platform.clock)
        self._ended: list[Work] = []
        self._kept: dict[str, PipelineCache] = {}
        self._wait: float | None = None
        self.over = False
        self._only, reused = self._selection()
        if reused:
            self._reuse(reused)

    def go(self) -> float | None:
        self._see()
        if self._stopping:
            self._stop()
        begun = self._due()
        while True:
            planned = plan(
                self._definition,
                {name: state_of(record) for name, record in self._records.items()},
                self._entry.value.parallelism,
                stopping=self._stopping,
                only=self._only,
            )
            self._finish_loops(planned)
            at_once = bool(planned.finish)
            for name in planned.start:
                record = first_record(self._world, self._entry, name, self._records, self._now)
                ready = self._begin(record)
                if ready is None:
                    at_once = True
                else:
                    begun.append((ready, False))
            if at_once and not begun:
                continue  # what has ended without anybody's help may let others begin: one transaction for all
            outcome = None if begun else planned.outcome
            self._write(outcome)
            if outcome is not None:
                self.over = True
                return None
            if not begun:
                return self._seconds()
            for ready, repeated in begun:
                self._start(ready, repeated)
            begun = []
            if self._stopping:
                self._stop()

    @property
    def _now(self) -> float:
        return self._platform.clock.now()

    @property
    def _stopping(self) -> bool:
        return self._entry.value.status == STOPPING

    def _selection(self) -> tuple[frozenset[str] | None, frozenset[str]]:
        """The steps of a selective execution, and those that are still to be taken from its source."""
        selective = self._entry.value.selective
        if selective is None:
            return None, frozenset()
        selection = select(self._definition, [each["StepName"] for each in selective["SelectedSteps"]])
        return selection.selected, selection.reused - self._records.keys()

    def _reuse(self, names: frozenset[str]) -> None:
        """Take steps from the source of a selective execution, with the children of those that iterate."""
        arn = (self._entry.value.selective or {})["SourcePipelineExecutionArn"]
        iterated = self._definition.iterated
        for each in self._table.all(parent=arn.rpartition("/")[2]):
            source = each.value
            if source.step not in names and source.body_of not in names:
                continue
            number = len(self._records)
            record = replace(
                source, run=self._entry.value.run, started_at=self._now, number=number, attempt=1, cache_hit=""
            )
            self._put(replace(taken_from(source, record), ended_at=self._now, reused=arn, index=source.index))
        missing = names - self._records.keys() - iterated.keys()
        if missing:
            raise AwsError("ResourceNotFound", f"{arn} has no steps {', '.join(sorted(missing))} any more.")

    def _work(self, record: PipelineStep, siblings: Mapping[str, object] | None = None) -> Work:
        step = step_of(self._definition, record.step)
        arn = execution_arn(self._entry)
        return Work(self._role, self._world.own, self._entry, arn, step, record, siblings or {})

    def _put(self, record: PipelineStep) -> None:
        if self._records.get(record.step) != record:
            self._records[record.step] = record
            self._changed.add(record.step)
            self._world.forget(record.step)

    def _see(self) -> None:
        """Look at the steps that run: those that there is news of, and those that nobody tells of."""
        for record in list(self._records.values()):
            if record.status not in (EXECUTING, STOPPING) or record.type == FOR_EACH:
                continue
            driver = DRIVERS[record.type]
            if driver.kind and self._news is not None and record.job not in self._news:
                continue
            work = self._work(record)
            try:
                progress = driver.observe(work)
            except Exception:  # noqa: BLE001 - whatever one step meets, the others must go on
                self._trouble("looking at", record)
                continue
            if progress is not None:
                self._take(work, progress)

    def _take(self, work: Work, progress: Progress) -> None:
        """Note how far a step is."""
        record = work.record
        record = replace(
            record,
            arn=progress.arn or record.arn,
            outputs=dict(progress.outputs) or record.outputs,
            shown={**record.shown, **progress.shown},
        )
        if progress.status in UNDER_WAY:
            self._put(replace(record, status=STOPPING if record.status == STOPPING else progress.status))
            return
        self._ended.append(work)
        if progress.status == FAILED:
            self._put(self._failed(record, progress))
            return
        self._put(replace(record, status=progress.status, ended_at=self._now))
        if progress.status == SUCCEEDED and record.cache_key:
            self._keep(record)

    def _failed(self, record: PipelineStep, progress: Progress) -> PipelineStep:
        """A step that has failed, or that is tried again later."""
        count, first_at = record.retries.get(progress.failure, [0, self._now])
        step = step_of(self._definition, record.step)
        wait = wait_before_retry(step, progress.failure, int(count), self._now - first_at)
        if wait is None or self._stopping:
            reason = progress.reason[:_LONGEST_REASON]
            return replace(record, status=FAILED, ended_at=self._now, failure_reason=reason, failure=progress.failure)
        return replace(
            record,
            status=STARTING,
            attempt=record.attempt + 1,
            retries={**record.retries, progress.failure: [count + 1, first_at]},
            retry_at=self._now + wait,
            failure=progress.failure,
            job="",
            arn="",
        )

    def _keep(self, record: PipelineStep) -> None:
        """Let later executions find what this step has done."""
        name = cache_name(self._entry.value.pipeline, step_of(self._definition, record.step).name, record.cache_key)
        self._kept[name] = PipelineCache(self._entry.name, record.step, self._now)

    def _write_kept(self, batch: Batch) -> None:
        table = self._world.own.records(PipelineCache)
        for name, made in self._kept.items():
            found = table.get(name)
            if found is None:
                batch.create(table, name, made, parent=self._entry.value.pipeline)
            else:
                batch.replace(table, found, made)
        self._kept.clear()

    def _stop(self) -> None:
        """Ask what runs to stop; what waits for its next attempt will not get one."""
        for record in list(self._records.values()):
            if record.status == STARTING and record.retry_at is not None:
                self._put(replace(record, status=STOPPED, ended_at=self._now, retry_at=None))
            elif record.status == EXECUTING:
                if record.type != FOR_EACH:
                    DRIVERS[record.type].stop(self._work(record))
                self._put(replace(record, status=STOPPING))

    def _due(self) -> list[tuple[Ready, bool]]:
        """Steps that are recorded as Starting: what a crash left there, and what is due for its next attempt."""
        found = []
        for record in list(self._records.values()):
            if record.status != STARTING:
                continue
            if record.retry_at is None:
                again = self._beginning.again(record)
                if isinstance(again, Ready):
                    found.append((again, True))
                else:
                    self._put(again)
            elif record.retry_at <= self._now:
                ready = self._begin(replace(record, retry_at=None))
                if ready is not None:
                    found.append((ready, False))
            else:
                self._look_again(record.retry_at - self._now)
        return found

    def _begin(self, record: PipelineStep) -> Ready | None:
        """Note that a step begins; what is to be started when that is written, None when there is nothing to start."""
        if self._unassumable and record.type in DRIVERS:
            ended = replace(record, status=FAILED, ended_at=self._now, failure_reason=self._unassumable)
            self._put(ended)
            return None
        try:
            ready = self._beginning.begin(record)
        except Exception as error:  # noqa: BLE001 - nothing was begun, and the others must go on
            self._trouble("beginning", record)
            ready = replace(
                record,
                status=FAILED,
                ended_at=self._now,
                failure_reason=f"InternalServerError: {error!r}"[:_LONGEST_REASON],
            )
        if not isinstance(ready, Ready):
            self._put(ready)
            return None
        self._put(ready.record)
        self._batch.add(*DRIVERS[record.type].also(self._work(ready.record)))
        return ready

    def _start(self, ready: Ready, repeated: bool) -> None:
        work = self._work(self._records[ready.record.step], ready.siblings)
        try:
            progress = DRIVERS[work.record.type].start(work, ready.arguments, repeated=repeated)
        except AwsError as error:
            progress = Progress(FAILED, reason=f"ClientError: {error.message}")
        except Exception:  # noqa: BLE001 - whatever one step meets, the others must go on
            self._trouble("starting", work.record)
            return
        self._take(work, progress)

    def _finish_loops(self, planned: Plan) -> None:
        for name, ending in planned.finish.items():
            self._put(finished(self._world, self._records[name], ending, self._now))

    def _write(self, outcome: str | None) -> None:
        """Record everything that has changed, and the end of the execution with it."""
        batch, self._batch = self._batch, Batch(self._platform.store)
        names = sorted(self._changed)
        self._changed.clear()
        for name in names:
            record, stored = self._records[name], self._stored.get(name)
            if stored is None:
                where = f"{self._entry.name}/{name}"
                batch.create(self._table, where, record, status=record.status, parent=self._entry.name)
            else:
                batch.replace(self._table, stored, record, status=record.status)
        self._write_kept(batch)
        if outcome is not None:
            ended = replace(
                self._entry.value,
                status=outcome,
                failure_reason=FAILURE_REASON if outcome == FAILED else "",
                modified_at=self._now,
            )
            batch.replace(self._world.own.records(PipelineExecution), self._entry, ended, status=outcome)
        for entry in batch.write():
            if isinstance(entry.value, PipelineStep):
                self._stored[entry.value.step] = entry
        for work in self._ended:
            DRIVERS[work.record.type].forget(work)
        self._ended.clear()

    def _seconds(self) -> float | None:
        for record in self._records.values():
            if record.token and record.status in (EXECUTING, STOPPING):
                self._look_again(seconds_left(record, self._now))
            elif record.status == STARTING and record.retry_at is not None:
                self._look_again(record.retry_at - self._now)
        return self._wait

    def _look_again(self, seconds: float) -> None:
        self._wait = seconds if self._wait is None else min(self._wait, seconds)

    def _trouble(self, what: str, record: PipelineStep) -> None:
        _log.exception("%s step %s of %s failed; trying again", what, record.step, execution_arn(self._entry))
        self._look_again(_AGAIN_SECONDS)


def _acting(own: Context, role: str) -> tuple[Context, str]:
    """The context that acts as a pipeline's role, and why there is none. One that may do anything is not asked."""
    try:
        principal = role_principal(own.platform, role)
    except AwsError as error:
        return replace(own, principal=Principal("anonymous", own.account)), f"ClientError: {error.message}"
    if not limiting_role(own.platform, role):
        principal = replace(principal, permissions=None)
    return replace(own, principal=principal), ""
