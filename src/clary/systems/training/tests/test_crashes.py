"""What a controller that dies, anywhere, leaves behind: something that the next run completes."""

import os
import signal

import pytest

from clary.kernel.jobs.folder import HostFolder
from clary.kernel.rooms.tests.worlds import crash_everywhere
from clary.systems.training.tests.conftest import BUCKET, World
from clary.testing import eventually


@pytest.mark.slow
def test_a_crash_at_any_crossing_loses_nothing_and_leaves_nothing(still_world: World) -> None:
    world = still_world

    def create(name: str) -> None:
        script = "echo ran >> /opt/ml/checkpoints/runs; echo m > /opt/ml/model/m"
        world.create(name, script, CheckpointConfig={"S3Uri": f"s3://{BUCKET}/ck/{name}"})

    def check(name: str) -> None:
        assert world.get(f"ck/{name}/runs") == b"ran\n", "the job ran more than once"

    crash_everywhere(world, create, check)


def test_a_job_survives_the_death_of_its_controller(still_world: World) -> None:
    world = still_world
    world.start_controller()
    world.create("survivor", "echo up; while true; do read -t 1 <> <(:) || :; done")
    eventually(lambda: world.lines("survivor") == ["up"])
    world.stop_controller()
    world.call("StopTrainingJob", TrainingJobName="survivor")
    assert world.describe("survivor")["TrainingJobStatus"] == "Stopping"
    world.start_controller()
    assert world.ended("survivor")["TrainingJobStatus"] == "Stopped"


def test_a_lost_shim_means_another_attempt_from_the_checkpoints(still_world: World) -> None:
    world = still_world
    world.start_controller()
    script = """
        if [ -e /opt/ml/checkpoints/half ]; then echo resumed; exit 0; fi
        echo half > /opt/ml/checkpoints/half; echo first; while true; do read -t 1 <> <(:) || :; done
    """
    world.create("lost", script, CheckpointConfig={"S3Uri": f"s3://{BUCKET}/ck/lost"})
    eventually(lambda: world.keys("ck/lost/") != [])
    os.kill(shim_of(world), signal.SIGKILL)
    job = world.ended("lost")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    statuses = [one["Status"] for one in job["SecondaryStatusTransitions"]]
    assert statuses == [
        "Starting", "Downloading", "Training", "Restarting",
        "Starting", "Downloading", "Training", "Uploading", "Completed",
    ]  # fmt: skip
    assert world.lines("lost") == ["first", "resumed"]


def test_a_start_that_was_cut_short_is_repeated(still_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's folder is there, but nobody looks after it."""
    world = still_world
    world.create("cut-short", "echo ran")
    with monkeypatch.context() as patched:
        home = world.platform.settings.home
        patched.setattr(world.executor, "start", lambda spec: HostFolder(home, spec.job, spec.host).create(spec))
        world.reconcile(None)
    [(attempt, host)] = world.executor.hosts()
    assert HostFolder(world.platform.settings.home, attempt, host).saved() is None
    monkeypatch.setattr("clary.kernel.jobs.folder.START_PATIENCE_SECONDS", 0.0)
    world.start_controller()
    assert world.ended("cut-short")["TrainingJobStatus"] == "Completed"
    assert world.lines("cut-short") == ["ran"]


@pytest.mark.parametrize("key", [None, "000000000000/us-east-1/never-created"])
def test_there_may_be_nothing_to_do(still_world: World, key: str | None) -> None:
    assert still_world.reconcile(key) is None


def shim_of(world: World) -> int:
    """The process that looks after the only host there is."""
    [(attempt, host)] = world.executor.hosts()
    return int((world.platform.settings.home / "jobs" / attempt / host / "lock").read_text())
