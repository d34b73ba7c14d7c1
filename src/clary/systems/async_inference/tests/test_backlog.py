"""The queue keeps what it is given, in order, until it is settled: against a model of plain lists."""

import asyncio
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.systems.async_inference.backlog import Backlog
from clary.systems.async_inference.records import Request

ACCOUNTS = ("000000000000", "111122223333")
ENDPOINTS = ("a", "a-1", "b")


def request(account: str = ACCOUNTS[0], endpoint: str = "a", **members: Any) -> Request:
    about = {
        "revision": "r",
        "inference_id": "id",
        "received_at": 0.0,
        "expires_at": 100.0,
        "timeout_seconds": 900.0,
        "input_location": "s3://b/k",
    }
    return Request(account=account, region="us-east-1", endpoint=endpoint, **{**about, **members})


class Queues(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        settings_ = Settings.load({}, home=str(Path(self.folder.name) / "home"), ephemeral=True)
        self.platform = Platform(settings_, VirtualClock())
        self.backlog = Backlog(self.platform)
        self.loop = asyncio.new_event_loop()
        self.waiting: list[Request] = []
        self.bodies: dict[int, bytes] = {}
        self.settled: list[Request] = []

    def do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @rule(
        account=st.sampled_from(ACCOUNTS),
        endpoint=st.sampled_from(ENDPOINTS),
        expires=st.integers(1, 200),
        body=st.binary(max_size=20),
    )
    def add(self, account: str, endpoint: str, expires: int, body: bytes) -> None:
        queued = self.do(self.backlog.add(request(account, endpoint, expires_at=float(expires)), body))
        assert all(queued.number > other.number for other in [*self.waiting, *self.settled])
        self.waiting.append(queued)
        self.bodies[queued.number] = body

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.waiting))
        assert self.do(self.backlog.settle(chosen))
        self.waiting.remove(chosen)
        self.settled.append(chosen)

    @precondition(lambda self: self.settled)
    @rule(data=st.data())
    def settle_twice(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.settled))
        assert not self.do(self.backlog.settle(chosen))
        self.do(self.backlog.note(replace(chosen, attempts=9)))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def note(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.waiting) - 1))
        self.waiting[place] = replace(self.waiting[place], attempts=self.waiting[place].attempts + 1)
        self.do(self.backlog.note(self.waiting[place]))

    @rule()
    def open_again(self) -> None:
        self.platform.close()
        self.backlog = Backlog(self.platform)

    @rule(now=st.integers(0, 210), data=st.data())
    def expire(self, now: int, data: st.DataObject) -> None:
        without = set(data.draw(st.lists(st.sampled_from([one.number for one in self.waiting] or [0]), max_size=3)))
        expired = self.backlog.expired(float(now), without)
        expected = [one for one in self.waiting if one.expires_at < now and one.number not in without]
        assert sorted(one.number for one in expired) == [one.number for one in expected]

    @invariant()
    def everything_waits_in_order(self) -> None:
        queues = {one.queue for one in self.waiting}
        assert set(self.backlog.queues()) == queues
        for queue in {request(account, endpoint).queue for account in ACCOUNTS for endpoint in ENDPOINTS}:
            expected = [one for one in self.waiting if one.queue == queue]
            assert self.backlog.first(queue, 1000) == expected
            assert self.backlog.size(queue) == len(expected)
            if expected:
                assert self.backlog.first(queue, 2, {expected[0].number}) == expected[1:3]
        assert all(self.backlog.body(one) == self.bodies[one.number] for one in self.waiting)

    def teardown(self) -> None:
        self.loop.close()
        self.platform.close()
        self.folder.cleanup()


TestQueues = Queues.TestCase
TestQueues.settings = settings(max_examples=25, stateful_step_count=25)
