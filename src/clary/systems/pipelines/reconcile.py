"""Wake executions when there is something to do, and drive them."""

from clary.kernel.rooms import Platform, observer, reconciler
from clary.kernel.store import Change
from clary.systems.pipelines.driving import drive
from clary.systems.pipelines.names import TOPIC, execution_in
from clary.systems.pipelines.notices import notices_of
from clary.systems.pipelines.records import PipelineExecution, PipelineStep
from clary.systems.pipelines.statuses import ACTIVE, UNDER_WAY

_EVERY_SECONDS = 15.0
_NAMED_BY_US = frozenset({"training_job", "processing_job", "transform_job"})


@reconciler(TOPIC, every_seconds=_EVERY_SECONDS)
def reconcile(platform: Platform, key: str | None) -> float | None:
    """Drive the execution of a key `account/region/execution`; without one, have each that is active looked at whole.

    Those are driven by their keys, so that no execution is ever driven twice at a time.
    """
    if key is not None:
        return drive(platform, key)
    for entry in platform.records(PipelineExecution).all(status=ACTIVE):
        name = f"{entry.account}/{entry.region}/{entry.name}"
        notices_of(platform).look_at_all(name)
        platform.wake(TOPIC, name)
    return None


@observer
def observe(platform: Platform, changes: list[Change]) -> None:
    """Wake the executions whose steps made what has changed. What there is to see of it is read when they look."""
    notices = notices_of(platform)
    woken = set()
    for change in changes:
        for execution in _executions(platform, change):
            key = f"{change.account}/{change.region}/{execution}"
            notices.add(key, change.name)
            woken.add(key)
    for key in woken:
        platform.wake(TOPIC, key)


def _executions(platform: Platform, change: Change) -> set[str]:
    """The executions that wait for what has changed: named in it, or found by the steps that wait."""
    if change.was is None:
        return set()  # whoever made it knows
    if change.kind in _NAMED_BY_US:
        execution = execution_in(change.name)
        return set() if execution is None else {execution}
    steps = platform.records(PipelineStep).within(change.account, change.region).all(status=UNDER_WAY)
    return {
        each.parent for each in steps if each.value.job == change.name or each.value.arn.endswith(f"/{change.name}")
    }
