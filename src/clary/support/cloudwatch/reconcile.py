"""Evaluate alarms, carry out what they owe, and forget what is past its time."""

import orjson

from clary.kernel.core.clock import iso
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Platform, reconciler
from clary.kernel.store import Entry
from clary.support.cloudwatch.alarm_settings import fewest_samples, period_of, queries_of, rule_of
from clary.support.cloudwatch.evaluation import EXTRA_PERIODS, SHOWN_VALUES, Rule, Verdict, evaluate, reason
from clary.support.cloudwatch.queries import Range, run_queries
from clary.support.cloudwatch.reading import dimensions_of, metric_reader
from clary.support.cloudwatch.records import Alarm, AlarmHistoryItem
from clary.support.cloudwatch.times import grid
from clary.support.cloudwatch.transitions import notify, transition

_HISTORY_SECONDS = 30 * 24 * 3600


@reconciler("cloudwatch_alarms", every_seconds=10.0)
def watch_alarms(platform: Platform, key: str | None) -> None:
    """Bring every alarm into the state that its data speak for. A key names one whose actions are to run at once."""
    if key is not None:
        account, region, name = key.split("/", 2)
        entry = platform.records(Alarm).within(account, region).get(name)
        if entry is not None and entry.value.to_notify:
            notify(platform, entry)
        return
    for entry in platform.records(Alarm).all():
        judge(platform, entry)
        current = platform.records(Alarm).within(entry.account, entry.region).get(entry.name)
        if current is not None and current.value.to_notify:
            notify(platform, current)


@reconciler("cloudwatch", every_seconds=3600.0)
def sweep(platform: Platform, key: str | None) -> None:
    """Make old data of metrics compact; delete those, and history of alarms, that are past their time."""
    platform.metrics.sweep()
    history = platform.records(AlarmHistoryItem)
    for entry in history.all(created_before=platform.clock.now() - _HISTORY_SECONDS):
        history.within(entry.account, entry.region).delete(entry.name)


def judge(platform: Platform, entry: Entry[Alarm]) -> None:
    """Evaluate an alarm over the periods that are over, and change its state when they say so."""
    settings = entry.value.settings
    rule = rule_of(settings)
    period = period_of(settings)
    now = platform.clock.now()
    end = now // period * period
    span = Range(end - (rule.periods + EXTRA_PERIODS) * period, end, now)
    if _too_few_samples(platform, entry, span):
        return
    try:
        results = run_queries(queries_of(settings), metric_reader(platform.metrics, entry.account, entry.region), span)
    except AwsError as error:
        _change(platform, entry, "INSUFFICIENT_DATA", f"Evaluation failed: {error.message}", "")
        return
    points = results[0].series[0].points if results[0].series else {}
    values = [points.get(moment) for moment in grid(span.start, span.end, period)]
    verdict = evaluate(rule, values)
    if verdict.state is None or verdict.state == entry.value.state:
        return
    data = _reason_data(rule, verdict, period, now, settings.get("Statistic", ""))
    _change(platform, entry, verdict.state, reason(rule, verdict, entry.value.state), data)


def _change(platform: Platform, entry: Entry[Alarm], state: str, why: str, data: str) -> None:
    if state != entry.value.state:
        transition(platform, entry.account, entry.region, entry.name, state, why, data)


def _too_few_samples(platform: Platform, entry: Entry[Alarm], span: Range) -> bool:
    settings = entry.value.settings
    needed = fewest_samples(settings)
    if not needed:
        return False
    buckets = platform.metrics.buckets(
        entry.account,
        entry.region,
        settings["Namespace"],
        settings["MetricName"],
        dimensions_of(settings.get("Dimensions")),
        start=span.start,
        end=span.end,
        period=settings["Period"],
        unit=settings.get("Unit"),
    )
    return bool(buckets) and max(bucket.samples.count for bucket in buckets) < needed


def _reason_data(rule: Rule, verdict: Verdict, period: int, now: float, stat: str) -> str:
    return orjson.dumps(
        {
            "version": "1.0",
            "queryDate": iso(now),
            "statistic": stat,
            "period": period,
            "recentDatapoints": verdict.values[-SHOWN_VALUES:],
            "threshold": rule.threshold,
        }
    ).decode()
