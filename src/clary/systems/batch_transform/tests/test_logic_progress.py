"""From what is seen of the hosts to what the job says."""

from typing import Any

import pytest

from clary.kernel.jobs.contract import Failure, Observation, Outcome, Phase, Resources
from clary.kernel.jobs.statuses import STOPPING
from clary.systems.batch_transform.logic_hosts import Attempt
from clary.systems.batch_transform.logic_progress import RESTARTS, ask_to_stop, failure_reason, follow
from clary.systems.batch_transform.logic_requests import complete
from clary.systems.batch_transform.records import TransformJob
from clary.systems.batch_transform.tests.conftest import request

OUT = "s3://transform-data/out/job"


def job(**changes: Any) -> TransformJob:
    made = TransformJob("u1", "arn", complete(request("job", "s3://b/in/")), [{"Image": "i"}], "", False, "InProgress")
    attempt = Attempt.of(made, "job", [Resources(), Resources()], 1.0).document()
    values = {name: getattr(made, name) for name in TransformJob.__slots__} | {"attempt": attempt}
    return TransformJob(**values | changes)


def seen(host: int, outcome: Outcome | None = None, at: float = 9.0, **members: Any) -> Observation:
    phases = {Phase.DOWNLOADING: 2.0 + host} | ({Phase.ENDED: at} if outcome else {})
    phase = Phase.ENDED if outcome else Phase.RUNNING
    return Observation("attempt", f"algo-{host}", phase, phases, outcome=outcome, **members)


def test_a_job_starts_with_its_first_host_and_ends_with_its_last() -> None:
    running = follow(job(), [seen(1), seen(2, Outcome.COMPLETED)])
    assert (running.status, running.started, running.ended) == ("InProgress", 3.0, None)
    done = follow(running, [seen(1, Outcome.COMPLETED, 12.0), seen(2, Outcome.COMPLETED)])
    assert (done.status, done.started, done.ended) == ("Completed", 3.0, 12.0)
    assert follow(done, [seen(1, Outcome.LOST)]) == done


def test_other_hosts_finish_their_share_when_one_fails() -> None:
    failed = seen(1, Outcome.FAILED, failure=Failure.ALGORITHM, reason="ClientError: s3://b/in/a, line 3: bad")
    assert follow(job(), [failed, seen(2)]).status == "InProgress"
    ended = follow(job(), [failed, seen(2, Outcome.COMPLETED, 11.0)])
    assert (ended.status, ended.failure_reason) == ("Failed", "ClientError: s3://b/in/a, line 3: bad")


def test_a_lost_host_means_another_attempt_without_what_is_done() -> None:
    lost = seen(1, Outcome.LOST, outputs=(f"{OUT}/a.out",))
    again = follow(job(done=["z"]), [lost, seen(2, outputs=(f"{OUT}/sub/b.csv.out",))])
    assert (again.status, again.restarts, again.done) == ("InProgress", 1, ["a", "sub/b.csv", "z"])
    assert again.attempt is not None
    assert again.attempt["over"]
    last = follow(job(restarts=RESTARTS), [lost, seen(2, Outcome.COMPLETED)])
    assert last.status == "Failed"
    assert last.failure_reason.startswith("InternalServerError: ")


@pytest.mark.parametrize("outcome", [Outcome.STOPPED, Outcome.LOST, Outcome.COMPLETED, Outcome.FAILED])
def test_a_job_that_was_asked_to_stop_is_stopped_however_it_ends(outcome: Outcome) -> None:
    stopping = ask_to_stop(job())
    assert stopping is not None
    assert (stopping.status, ask_to_stop(stopping)) == (STOPPING, None)
    assert follow(stopping, [seen(1), seen(2, outcome)]).status == STOPPING
    assert follow(stopping, [seen(1, Outcome.STOPPED), seen(2, outcome)]).status == "Stopped"


@pytest.mark.parametrize(
    ("failure", "reason", "said"),
    [
        (Failure.CLIENT, "no such key", "ClientError: no such key"),
        (Failure.ALGORITHM, "Killed", "AlgorithmError: Killed"),
        (Failure.ALGORITHM, "AlgorithmError: gone", "AlgorithmError: gone"),
        (Failure.INTERNAL, "disk", "InternalServerError: We encountered an internal error. Please try again. (disk)"),
    ],
)
def test_reasons_have_aws_prefixes(failure: Failure, reason: str, said: str) -> None:
    assert failure_reason(seen(1, Outcome.FAILED, failure=failure, reason=reason)) == said
