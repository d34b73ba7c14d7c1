"""Queues against a model: whatever happens in whatever order, no message is lost, doubled or early.

The model knows of each message when it was visible last, how often it was received, and which handle is current.
"""

import tempfile
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.errors import AwsError
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.support.sqs.reconcile import sweep

RETENTION_SECONDS = 600
DEDUPLICATION_SECONDS = 300


@dataclass
class Sent:
    """What the model knows of a message."""

    order: int
    body: str
    group: str
    sent_at: float
    visible_at: float
    receives: int = 0
    handle: str = ""


class QueueMachine(RuleBasedStateMachine):
    """One queue, standard or FIFO, and every client there is."""

    @initialize(fifo=st.booleans())
    def open(self, fifo):
        self.folder = tempfile.TemporaryDirectory()
        self.clock = VirtualClock()
        self.platform = Platform(Settings.load({}, home=self.folder.name), self.clock)
        self.fifo = fifo
        name, attributes = ("q.fifo", {"FifoQueue": "true"}) if fifo else ("q", {})
        attributes["MessageRetentionPeriod"] = str(RETENTION_SECONDS)
        self.url = self.call("CreateQueue", QueueName=name, Attributes=attributes, url=False)["QueueUrl"]
        self.messages: dict[int, Sent] = {}
        self.old_handles: list[str] = []
        self.seen: dict[str, float] = {}
        self.number = self.sent = 0

    def call(self, operation, *, url=True, **params):
        if url:
            params["QueueUrl"] = self.url
        return self.platform.call("111122223333", "us-east-1", "sqs", operation, **params)

    @property
    def now(self):
        return self.clock.now()

    def living(self):
        return [each for each in self.messages.values() if self.now - each.sent_at < RETENTION_SECONDS]

    @rule(group=st.sampled_from("ab"), delay=st.sampled_from([0, 0, 20]), repeat=st.booleans())
    def send(self, group, delay, repeat):
        if self.fifo:
            if not repeat:
                self.number += 1
            token = f"{self.number}-{group}"
            duplicate = self.now - self.seen.get(token, -1e9) < DEDUPLICATION_SECONDS
            self.call("SendMessage", MessageBody=token, MessageGroupId=group, MessageDeduplicationId=token)
            if duplicate:
                return
            self.seen[token] = self.now
            delay = 0
        else:
            self.number += 1
            self.call("SendMessage", MessageBody=f"{self.number}-{group}", DelaySeconds=delay)
        self.sent += 1
        body = f"{self.number}-{group}"
        self.messages[self.sent] = Sent(self.sent, body, group, self.now, self.now + delay)

    @rule(limit=st.integers(1, 10), hidden=st.sampled_from([5, 30, 100]))
    def receive(self, limit, hidden):
        answer = self.call("ReceiveMessage", MaxNumberOfMessages=limit, VisibilityTimeout=hidden)
        got = answer.get("Messages", [])
        can = self.receivable()
        assert len(got) == min(limit, len(can))
        for each in got:
            found = min((m for m in can if m.body == each["Body"]), key=lambda m: m.order)
            can.remove(found)
            if self.fifo:
                assert not [m for m in can if m.group == found.group and m.order < found.order]
            if found.handle:
                self.old_handles.append(found.handle)
            found.handle = each["ReceiptHandle"]
            found.receives += 1
            found.visible_at = self.now + hidden

    def receivable(self):
        visible = [each for each in self.living() if each.visible_at <= self.now]
        if not self.fifo:
            return visible
        locked = {each.group for each in self.messages.values() if each.receives and each.visible_at > self.now}
        return [each for each in visible if each.group not in locked]

    @precondition(lambda self: any(each.handle for each in self.messages.values()))
    @rule(data=st.data())
    def delete(self, data):
        key = data.draw(st.sampled_from([key for key, each in self.messages.items() if each.handle]))
        expired = self.messages[key].visible_at <= self.now
        if self.fifo and expired:
            with pytest.raises(AwsError):
                self.call("DeleteMessage", ReceiptHandle=self.messages[key].handle)
            return
        self.call("DeleteMessage", ReceiptHandle=self.messages[key].handle)
        del self.messages[key]

    @precondition(lambda self: self.old_handles and not self.fifo)
    @rule(data=st.data())
    def delete_by_an_old_handle(self, data):
        self.call("DeleteMessage", ReceiptHandle=data.draw(st.sampled_from(self.old_handles)))

    @precondition(lambda self: any(each.handle and each.visible_at > self.now for each in self.messages.values()))
    @rule(data=st.data(), seconds=st.sampled_from([0, 10, 200]))
    def hide(self, data, seconds):
        flying = [each for each in self.messages.values() if each.handle and each.visible_at > self.now]
        message = data.draw(st.sampled_from(flying))
        self.call("ChangeMessageVisibility", ReceiptHandle=message.handle, VisibilityTimeout=seconds)
        message.visible_at = self.now + seconds

    @rule(seconds=st.sampled_from([1, 10, 31, 299, 301]))
    def pass_time(self, seconds):
        self.clock.advance(seconds)

    @rule()
    def restart(self):
        self.platform.close()
        self.platform = Platform(Settings.load({}, home=self.folder.name), self.clock)

    @invariant()
    def counts_are_right(self):
        if not hasattr(self, "platform"):
            return
        sweep(self.platform, None)
        living = self.living()
        self.messages = {each.order: each for each in living}
        found = self.call("GetQueueAttributes", AttributeNames=["All"])["Attributes"]
        counted = [int(found[f"ApproximateNumberOfMessages{what}"]) for what in ("", "NotVisible", "Delayed")]
        assert counted == [
            sum(each.visible_at <= self.now for each in living),
            sum(each.visible_at > self.now and each.receives > 0 for each in living),
            sum(each.visible_at > self.now and not each.receives for each in living),
        ]

    def teardown(self):
        if hasattr(self, "platform"):
            self.platform.close()
            self.folder.cleanup()


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
