"""The state machine, from observations alone."""

from dataclasses import replace
from typing import Any

import pytest

from clary.kernel.jobs.contract import Failure, FinalMetric, Observation, Outcome, Phase
from clary.systems.training.logic_transitions import (
    RESTARTS,
    ask_to_stop,
    billable_seconds,
    enter,
    first_transition,
    follow,
    gang_must_stop,
    out_of_time,
)
from clary.systems.training.records import TrainingJob

MODEL = "s3://b/out/job/output/model.tar.gz"


def job(**request: Any) -> TrainingJob:
    return TrainingJob(
        uid="u",
        arn="arn:aws:sagemaker:us-east-1:000000000000:training-job/job",
        request={
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            **request,
        },
        role="arn:aws:iam::000000000000:role/r",
        status="InProgress",
        secondary="Starting",
        transitions=first_transition(100.0),
        attempt={"id": "training-job-u-1", "model_uri": MODEL, "began": None, "over": False},
    )


def seen(host: str = "algo-1", phase: Phase = Phase.RUNNING, /, **members: Any) -> Observation:
    order = [Phase.PENDING, Phase.DOWNLOADING, Phase.STARTING, Phase.RUNNING, Phase.UPLOADING, Phase.ENDED]
    phases = {one: 101.0 + index for index, one in enumerate(order) if index <= order.index(phase)}
    return replace(Observation("training-job-u-1", host, phase, phases), **members)


def completed(host: str = "algo-1", **members: Any) -> Observation:
    return seen(host, Phase.ENDED, outcome=Outcome.COMPLETED, exit_code=0, outputs=(MODEL,), **members)


def failed(host: str = "algo-1", failure: Failure = Failure.ALGORITHM, **members: Any) -> Observation:
    return seen(host, Phase.ENDED, **{"outcome": Outcome.FAILED, "failure": failure, "reason": "boom", **members})


def statuses(one: TrainingJob) -> list[str]:
    return [transition["Status"] for transition in one.transitions]


def test_a_run_that_is_seen_only_when_it_has_ended_still_went_through_every_state() -> None:
    ended = follow(job(), [completed(metrics=(FinalMetric("validation:auc", 0.9, 104.5),))])
    assert ended.status == "Completed"
    assert statuses(ended) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    starts = [transition["StartTime"] for transition in ended.transitions]
    assert starts == [100.0, 102.0, 104.0, 105.0, 106.0]
    assert [transition["EndTime"] for transition in ended.transitions] == [*starts[1:], starts[-1]]
    assert (ended.training_start, ended.training_end) == (102.0, 106.0)
    assert ended.artifacts == MODEL
    assert ended.metrics == [{"MetricName": "validation:auc", "Value": 0.9, "Timestamp": 104.5}]
    assert billable_seconds(ended, 500.0) == 4


def test_nothing_new_leaves_the_job_as_it_is() -> None:
    running = follow(job(), [seen()])
    assert running.secondary == "Training"
    assert follow(running, [seen()]) is running
    ended = follow(running, [completed()])
    assert follow(ended, [completed()]) is ended


def test_a_gang_trains_when_its_last_host_trains() -> None:
    both = follow(job(), [seen("algo-1"), seen("algo-2", Phase.DOWNLOADING)])
    assert both.secondary == "Downloading"
    assert follow(both, [seen("algo-1"), seen("algo-2")]).secondary == "Training"


def test_a_gang_completes_when_all_hosts_have() -> None:
    one_left = follow(job(), [completed("algo-1"), seen("algo-2")])
    assert one_left.status == "InProgress"
    assert follow(one_left, [completed("algo-1"), completed("algo-2")]).status == "Completed"


def test_one_failed_host_fails_the_job_at_once() -> None:
    ended = follow(job(), [seen("algo-1"), failed("algo-2", exit_code=3)])
    assert (ended.status, ended.secondary) == ("Failed", "Failed")
    assert ended.failure_reason == "AlgorithmError: boom, exit code: 3"
    assert ended.transitions[-1]["StatusMessage"] == ended.failure_reason
    assert ended.artifacts == ""


@pytest.mark.parametrize(
    ("observation", "reason"),
    [
        (failed(exit_code=1), "AlgorithmError: boom, exit code: 1"),
        (failed(signal=9), "AlgorithmError: boom, exit code: 137"),
        (failed(failure=Failure.CLIENT, reason="Data download failed"), "ClientError: Data download failed"),
        (failed(exit_code=1, reason="x" * 5000), f"AlgorithmError: {'x' * 994}, exit code: 1"),
    ],
)
def test_reasons_name_whose_fault_it_was(observation: Observation, reason: str) -> None:
    ended = follow(job(), [observation])
    assert ended.failure_reason == reason
    assert len(reason) <= 1024


def test_the_algorithms_own_failure_explains_the_job_before_a_lost_host() -> None:
    lost = seen("algo-1", Phase.ENDED, outcome=Outcome.LOST)
    assert follow(job(), [lost, failed("algo-2", exit_code=1)]).failure_reason.startswith("AlgorithmError")


def test_a_lost_host_means_another_attempt_a_few_times() -> None:
    lost = seen("algo-1", Phase.ENDED, outcome=Outcome.LOST)
    one = job()
    for number in range(1, RESTARTS + 1):
        one = follow(one, [lost])
        assert (one.status, one.secondary, one.restarts) == ("InProgress", "Restarting", number)
        assert one.attempt is not None
        assert one.attempt["over"]
        one = replace(one, attempt={**one.attempt, "over": False})
    ended = follow(one, [lost])
    assert ended.status == "Failed"
    assert ended.failure_reason.startswith("InternalServerError")
    assert ended.trained_seconds == pytest.approx(4.0 * RESTARTS)


def test_an_internal_failure_is_retried_as_often_as_asked() -> None:
    internal = failed(failure=Failure.INTERNAL)
    assert follow(job(), [internal]).status == "Failed"
    one = follow(job(RetryStrategy={"MaximumRetryAttempts": 1}), [internal])
    assert (one.status, one.retries) == ("InProgress", 1)
    assert one.attempt is not None
    assert follow(replace(one, attempt={**one.attempt, "over": False}), [internal]).status == "Failed"


def test_a_spot_job_says_that_it_was_interrupted() -> None:
    lost = seen("algo-1", Phase.ENDED, outcome=Outcome.LOST)
    assert follow(job(EnableManagedSpotTraining=True), [lost]).secondary == "Interrupted"


def test_stopping_keeps_what_was_uploaded_and_ends_stopped_however_the_process_ended() -> None:
    running = follow(job(), [seen()])
    stopping = ask_to_stop(running, 110.0)
    assert stopping is not None
    assert (stopping.status, stopping.secondary) == ("Stopping", "Stopping")
    assert gang_must_stop(stopping, [seen()])
    assert ask_to_stop(stopping, 111.0) is None
    for outcome in (Outcome.STOPPED, Outcome.COMPLETED, Outcome.FAILED, Outcome.LOST):
        ended = follow(stopping, [replace(completed(), outcome=outcome, phases={Phase.ENDED: 120.0})])
        assert (ended.status, ended.secondary, ended.artifacts) == ("Stopped", "Stopped", MODEL)


def test_time_up_ends_the_job_stopped_with_its_reason() -> None:
    ended = follow(job(), [replace(completed(), outcome=Outcome.TIMED_OUT)])
    assert (ended.status, ended.secondary) == ("Stopped", "MaxRuntimeExceeded")
    waiting = out_of_time(job(), "MaxWaitTimeExceeded")
    assert waiting is not None
    ended = follow(waiting, [replace(completed(), outcome=Outcome.STOPPED)])
    assert (ended.status, ended.secondary) == ("Stopped", "MaxWaitTimeExceeded")


def test_times_never_run_backwards() -> None:
    later = enter(enter(job(), "Downloading", 90.0), "Training", 80.0)
    assert [transition["StartTime"] for transition in later.transitions] == [100.0, 100.0, 100.0]


def test_only_a_completed_job_keeps_its_instances_warm() -> None:
    asked = {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "KeepAlivePeriodInSeconds": 60}}
    assert follow(job(**asked), [completed()]).warm_pool_until == 166.0
    assert follow(job(**asked), [failed(exit_code=1)]).warm_pool_until is None
