"""What needs no server: which instances there should be, filters, aliases, and what waits to be invoked."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.kernel.jobs.contract import Observation, Outcome, Phase
from clary.kernel.jobs.slots import Machine
from clary.kernel.rooms import Platform
from clary.kernel.serving.demand import Demand
from clary.support.lambda_.aliases import new_alias
from clary.support.lambda_.fleets import admitted
from clary.support.lambda_.instances import HOST, Instance, new_instance, plan
from clary.support.lambda_.outbox import DOMAIN, Event, Outbox
from clary.support.lambda_.patterns import compiled, matches
from clary.support.lambda_.shards import batches

NOW, IDLE, KIND = 1000.0, 300.0, "$LATEST:b1"
GIB = 1024**3


def instance(kind: str = KIND, *, healthy_at: float | None = NOW, created_at: float = NOW) -> Instance:
    return replace(new_instance(kind, 128, "2026/01/31", created_at), healthy_at=healthy_at)


def seen(one: Instance, *, healthy: bool | None = True, ended: bool = False) -> Observation:
    outcome = Outcome.FAILED if ended else None
    phase = Phase.ENDED if ended else Phase.RUNNING
    return Observation(one.job, HOST, phase, outcome=outcome, reason="gone", healthy=healthy, socket="/s")


def planned(instances: list[Instance], *demands: Demand, least: int = 0, now: float = NOW, **ended: bool) -> Any:
    observations = {one.id: seen(one, **ended) for one in instances}
    return plan(instances, observations, {KIND: least}, {KIND: demands}, IDLE, now)


def test_instances_come_with_the_demand_and_go_without_it() -> None:
    assert planned([], Demand(2, NOW), Demand(1, NOW - 10)).start == {KIND: 3}
    assert planned([], Demand(2, NOW - IDLE)).start == {}
    assert planned([], least=2).start == {KIND: 2}
    old = [instance(created_at=NOW - 2), instance(created_at=NOW - 1)]
    assert [one.leaving for one in planned(old, now=NOW + IDLE - 1).keep] == [False, False]
    assert [one.leaving for one in planned(old, Demand(1, NOW + 1), now=NOW + IDLE).keep] == [False, True]


def test_instances_of_what_the_function_was_before_leave() -> None:
    old = instance("$LATEST:b0")
    found = planned([old], Demand(1, NOW))
    assert [(one.id, one.leaving) for one in found.keep] == [(old.id, True)]
    assert found.start == {KIND: 1}


def test_an_instance_that_ended_or_hangs_is_replaced() -> None:
    one = instance()
    found = planned([one], Demand(1, NOW), ended=True)
    assert (found.gone, found.failed, found.start) == ([one], {}, {KIND: 1})
    never = instance(healthy_at=None)
    assert planned([never], Demand(1, NOW), ended=True).failed == {KIND: "gone"}
    late = instance(healthy_at=None, created_at=NOW - 61)
    assert planned([late], Demand(1, NOW), healthy=None).gone == [late]
    (silent,) = planned([one], Demand(1, NOW), healthy=False).keep
    assert silent.silent_since == NOW
    assert planned([silent], Demand(1, NOW + 11), healthy=False, now=NOW + 11).gone == [silent]
    (well,) = planned([silent], Demand(1, NOW)).keep
    assert well.silent_since is None


def test_new_instances_are_bounded_by_memory_concurrency_and_what_starts_already() -> None:
    wanted = [instance(healthy_at=None) for _ in range(20)]
    there = [("a/r/other", instance()) for _ in range(4)]

    def count(limit: int | None = None, cpus: int = 8, memory: int = 64 * GIB) -> int:
        return len(admitted(there, "a/r/f", wanted, limit, Machine(cpus, memory)))

    assert count() == 16
    assert count(cpus=2) == 4
    assert count(limit=3) == 3
    assert count(limit=0) == 0
    assert count(memory=7 * 128 * 1024**2) == 3


@pytest.mark.parametrize(
    ("pattern", "document", "wanted"),
    [
        ('{"a": ["x"]}', {"a": "x"}, True),
        ('{"a": ["x"]}', {"a": "y"}, False),
        ('{"a": ["x"]}', {"a": ["z", "x"]}, True),
        ('{"a": [1]}', {"a": 1.0}, True),
        ('{"a": [true]}', {"a": 1}, False),
        ('{"a": [null]}', {"a": None}, True),
        ('{"a": [null]}', {}, False),
        ('{"a": {"b": [{"prefix": "p"}]}}', {"a": {"b": "pq"}}, True),
        ('{"a": {"b": [{"suffix": "p"}]}}', {"a": {"b": "pq"}}, False),
        ('{"a": [{"numeric": [">", 1, "<=", 3]}]}', {"a": 3}, True),
        ('{"a": [{"numeric": [">", 1, "<=", 3]}]}', {"a": 1}, False),
        ('{"a": [{"exists": false}]}', {"b": 1}, True),
        ('{"a": {"b": [{"exists": false}]}}', {}, True),
        ('{"a": [{"exists": true}]}', {"a": None}, True),
        ('{"a": [{"anything-but": ["x", "y"]}]}', {"a": "z"}, True),
        ('{"a": [{"anything-but": {"prefix": "x"}}]}', {"a": "xz"}, False),
        ('{"a": [{"equals-ignore-case": "X"}]}', {"a": "x"}, True),
        ('{"a": [{"wildcard": "a*c"}]}', {"a": "abbc"}, True),
        ('{"$or": [{"a": [1]}, {"b": [2]}]}', {"b": 2}, True),
        ('{"$or": [{"a": [1]}, {"b": [2]}]}', {"a": 2}, False),
    ],
)
def test_a_filter_lets_through_what_it_says(pattern: str, document: dict[str, Any], wanted: bool) -> None:
    assert matches([compiled(pattern)], document) is wanted


@pytest.mark.parametrize(
    "pattern", ["", "[]", "{}", '{"a": "x"}', '{"a": []}', '{"a": [{"like": "x"}]}', '{"a": [{"numeric": [1]}]}']
)
def test_what_is_no_filter_says_so(pattern: str) -> None:
    with pytest.raises(AwsError, match="Invalid filter pattern"):
        compiled(pattern)


@pytest.mark.parametrize(
    ("name", "version", "weights"),
    [
        ("1", "1", {}),
        ("a", "b", {}),
        ("a", "$LATEST", {"1": 0.5}),
        ("a", "1", {"1": 0.5}),
        ("a", "1", {"2": 0.1, "3": 0.1}),
    ],
)
def test_what_cannot_be_an_alias_is_refused(name: str, version: str, weights: dict[str, float]) -> None:
    with pytest.raises(AwsError) as refused:
        new_alias(name, version, "", {"AdditionalVersionWeights": weights})
    assert refused.value.code == "InvalidParameterValueException"


def test_batches_hold_what_fits_into_an_event() -> None:
    records = [{"Data": b"x" * (2 << 20), "PartitionKey": "k", "SequenceNumber": str(number)} for number in range(5)]
    assert [len(batch) for batch in batches(records, 10)] == [2, 2, 1]
    assert [len(batch) for batch in batches([{**one, "Data": b""} for one in records], 3)] == [3, 2]


def test_what_waits_is_in_the_order_in_which_it_is_due(platform: Platform) -> None:
    outbox = Outbox(platform.kv(DOMAIN), platform.clock)

    async def use() -> None:
        now = platform.clock.now()
        for request, payload in (("one", b"1\n"), ("two", b"")):
            await outbox.post("a/r/f", Event(request, "", now), payload)
        await outbox.post("a/r/g", Event("other", "", now), b"{}")
        first, second = outbox.waiting("a/r/f")
        assert [(one.event.request, one.payload) for one in (first, second)] == [("one", b"1\n"), ("two", b"")]
        await outbox.put_off(first, 60.0, tries=1, refusals=0)
        assert [one.event.request for one in outbox.waiting("a/r/f")] == ["two", "one"]
        *_, later = outbox.waiting("a/r/f")
        assert (later.event.tries, later.due_at > now + 59) == (1, True)
        await outbox.settle(second)
        await outbox.settle(later)
        assert outbox.functions() == ["a/r/g"]
        (other,) = outbox.waiting("a/r/g")
        await outbox.settle(other)

    asyncio.run(use())
    assert outbox.functions() == []
