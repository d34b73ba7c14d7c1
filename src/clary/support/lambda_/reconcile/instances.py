"""Drive the instances of functions, and sweep what crashes and time have left.

Safe to run at any time, twice: it reads records, entries and the executor, never the request that woke it.
"""

from collections.abc import Iterable

from clary.kernel.rooms import Platform, reconciler
from clary.kernel.serving.demand import forget_old
from clary.support.lambda_ import cards
from clary.support.lambda_.fleets import TOPIC, Fleet, executor_of
from clary.support.lambda_.instances import JOB_PREFIX, all_instances, functions_with
from clary.support.lambda_.records import Function, LayerVersion, Version

_EVERY_SECONDS = 5.0
_HEAL_SECONDS = 60.0
_COLLECT_SECONDS = 3600.0
_HEALED, _COLLECTED = b"swept/healed", b"swept/collected"
_ENTRIES = (b"instance/", b"demand/", b"kept/", b"servers/")


@reconciler(TOPIC, every_seconds=_EVERY_SECONDS)
def reconcile(platform: Platform, key: str | None) -> float | None:
    """Drive the instances of the function with this key, `account/region/name`; or wake that of each, and sweep."""
    if key is not None:
        return Fleet(platform, key).drive()
    kv, now = platform.kv(cards.DOMAIN), platform.clock.now()
    started = executor_of(platform).hosts()  # before the entries are read: whatever is there by then has its entry
    known = {one.job for _, one in all_instances(kv)}
    for job, host in started:
        if job.startswith(JOB_PREFIX) and job not in known:
            executor_of(platform).forget(job, host)
    forget_old(kv, now - platform.settings.function_idle_seconds)
    if _is_due(platform, _HEALED, _HEAL_SECONDS):
        cards.heal(platform)
    if _is_due(platform, _COLLECTED, _COLLECT_SECONDS):
        _collect(platform)
    for function in {name for prefix in _ENTRIES for name in functions_with(kv, prefix)}:
        platform.wake(TOPIC, function)
    return None


def _is_due(platform: Platform, what: bytes, seconds: float) -> bool:
    kv, now = platform.kv(cards.DOMAIN), platform.clock.now()
    done = kv.get(what)
    if done is not None and now - float(done) < seconds:
        return False
    kv.write(lambda transaction: transaction.put(what, str(now).encode()))
    return True


def _collect(platform: Platform) -> None:
    """Remove the zips that nothing names any more, an hour after they were put there."""
    objects, before = platform.objects, platform.clock.now() - _COLLECT_SECONDS
    for bucket in list(objects.buckets.all("lambda")):
        # The listing comes first: a zip that is taken in meanwhile is not in it.
        listed = [one for one in objects.list(bucket.name) if one.modified < before]
        named = set(_named(platform)) if listed else set()
        for one in listed:
            if f"s3://{bucket.name}/{one.key}" not in named:
                objects.delete(bucket.name, one.key)


def _named(platform: Platform) -> Iterable[str]:
    users: list[Function | Version] = [one.value for one in platform.records(Function).all()]
    users += [one.value for one in platform.records(Version).all()]
    for value in users:
        yield value.code["uri"]
        yield from (layer["Uri"] for layer in value.configuration.get("Layers") or ())
    for layer in platform.records(LayerVersion).all():
        yield layer.value.code["uri"]
