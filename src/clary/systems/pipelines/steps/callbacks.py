"""Callback: a message with a token goes to a queue, and the step waits until somebody sends the token back.

The token is on disk before the message is sent; a crash in between sends the message again, with the same token.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson

from clary.kernel.core.errors import AwsError, validation
from clary.kernel.rooms import Context
from clary.kernel.store.contract import Change
from clary.systems.pipelines.records import PipelineCallback, PipelineStep
from clary.systems.pipelines.statuses import EXECUTING, FAILED, SUCCEEDED
from clary.systems.pipelines.steps.contract import Driver, Progress, Work, refused
from clary.systems.pipelines.steps.outputs import BadOutput, declared, shown

LONGEST_SECONDS = 7 * 86_400.0
"""How long a token is waited for."""


class Callback(Driver):
    """A step that somebody else ends."""

    def also(self, work: Work) -> Sequence[Change]:
        """What lets the token lead to the step."""
        record = work.record
        callback = PipelineCallback(work.execution.name, record.step, record.attempt, record.run)
        table = work.own.records(PipelineCallback)
        return [table.insertion(record.token, callback, parent=work.execution.value.pipeline)]

    def start(self, work: Work, arguments: Mapping[str, Any], *, repeated: bool) -> Progress:
        try:
            self._send(work, arguments, {})
        except AwsError as error:
            return refused("sqs:SendMessage", error)
        return Progress(EXECUTING)

    def observe(self, work: Work) -> Progress | None:
        entry = work.own.records(PipelineCallback).get(work.record.token)
        answer = None if entry is None else entry.value.answer
        if answer is None:
            return self._expired(work)
        if answer["status"] == FAILED:
            return Progress(FAILED, reason=answer["reason"] or "ClientError: the callback said that the step failed.")
        try:
            outputs = declared(work.step, answer["outputs"], "The callback")
        except BadOutput as error:
            return Progress(FAILED, reason=f"ClientError: {error}")
        return Progress(SUCCEEDED, outputs=outputs)

    def stop(self, work: Work) -> bool:
        """Tell whoever waits for the message that the execution is to stop; it goes on waiting for the token."""
        try:
            self._send(work, {}, {"status": "Stopping", "Status": "Stopping"})
        except AwsError:
            return False  # the queue is gone: there is nobody to be told
        return True

    def metadata(self, record: PipelineStep) -> dict[str, Any]:
        said = {"CallbackToken": record.token, "SqsQueueUrl": record.queue, "OutputParameters": shown(record.outputs)}
        return {"Callback": {name: value for name, value in said.items() if value}}

    def properties(self, own: Context, record: PipelineStep) -> Mapping[str, Any]:
        return {"OutputParameters": record.outputs}

    @staticmethod
    def _send(work: Work, arguments: Mapping[str, Any], more: Mapping[str, str]) -> None:
        record = work.record
        body = {
            "token": record.token,
            "pipelineExecutionArn": work.execution_arn,
            "stepName": record.step,
            "arguments": arguments,
            **more,
        }
        message: dict[str, Any] = {"QueueUrl": _path(record.queue), "MessageBody": orjson.dumps(body).decode()}
        if record.queue.endswith(".fifo"):
            message |= {
                "MessageGroupId": work.execution.name,
                "MessageDeduplicationId": f"{record.token}{more.get('status', '')}",
            }
        work.role.call("sqs", "SendMessage", message)

    @staticmethod
    def _expired(work: Work) -> Progress | None:
        left = seconds_left(work.record, work.own.platform.clock.now())
        if left > 0:
            return None
        return Progress(FAILED, reason=f"ClientError: nobody answered the callback for {LONGEST_SECONDS:.0f} seconds.")


def seconds_left(record: PipelineStep, now: float) -> float:
    """How long a callback is still waited for."""
    return record.started_at + LONGEST_SECONDS - now


def _path(url: str) -> str:
    """The path of a queue's URL, which is all that says which queue it is."""
    path = urlsplit(url).path
    if path.count("/") != 2:
        raise validation(f"SqsQueueUrl '{url}' is not the URL of a queue.")
    return path
