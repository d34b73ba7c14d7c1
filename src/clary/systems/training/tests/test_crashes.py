"""What a controller that dies, anywhere, leaves behind: something that the next run completes."""

import os
import signal

import pytest

from clary.kernel.jobs.folder import HostFolder
from clary.kernel.jobs.slots import Slots
from clary.kernel.rooms.tests.crossings import Fuse, burning, survive
from clary.systems.training.reconcile import reconcile
from clary.systems.training.tests.conftest import BUCKET, World, wait_until


def run_to_the_end(world: World, name: str, fuse: Fuse) -> None:
    """Reconcile until the job has ended, crashing where the fuse says, then going on as a new controller would."""
    keys = (f"000000000000/us-east-1/{name}", None)

    def look() -> bool:
        survive(reconcile, world.platform, keys)
        return world.describe(name)["TrainingJobStatus"] not in {"InProgress", "Stopping"}

    with burning(world.platform, fuse):
        wait_until(look)
        reconcile(world.platform, None)


@pytest.mark.slow
def test_a_crash_at_any_crossing_loses_nothing_and_leaves_nothing(still_world: World) -> None:
    """Every write and every call of the executor is crashed before and after, one at a time."""
    world = still_world
    world.executor.prepare()
    script = "echo ran >> /opt/ml/checkpoints/runs; echo m > /opt/ml/model/m"
    for crossing in range(40):
        name = f"crash-{crossing}"
        world.create(name, script, CheckpointConfig={"S3Uri": f"s3://{BUCKET}/ck/{name}"})
        fuse = Fuse(crossing)
        run_to_the_end(world, name, fuse)
        job = world.describe(name)
        assert job["TrainingJobStatus"] == "Completed", (crossing, job.get("FailureReason"))
        assert world.get(f"ck/{name}/runs") == b"ran\n", "the job ran more than once"
        assert world.executor.hosts() == []
        assert Slots(world.platform.store, world.platform.clock, world.platform.settings).owners() == []
        if fuse.crossings <= crossing:
            break
    assert crossing > 10, "the crossings were not counted"


def test_a_job_survives_the_death_of_its_controller(still_world: World) -> None:
    world = still_world
    world.start_controller()
    world.create("survivor", "echo up; while true; do read -t 1 <> <(:) || :; done")
    wait_until(lambda: world.lines("survivor") == ["up"])
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
    wait_until(lambda: world.keys("ck/lost/") != [])
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
        reconcile(world.platform, None)
    [(attempt, host)] = world.executor.hosts()
    assert HostFolder(world.platform.settings.home, attempt, host).saved() is None
    monkeypatch.setattr("clary.kernel.jobs.folder.START_PATIENCE_SECONDS", 0.0)
    world.start_controller()
    assert world.ended("cut-short")["TrainingJobStatus"] == "Completed"
    assert world.lines("cut-short") == ["ran"]


@pytest.mark.parametrize("key", [None, "000000000000/us-east-1/never-created"])
def test_there_may_be_nothing_to_do(still_world: World, key: str | None) -> None:
    assert reconcile(still_world.platform, key) is None


def shim_of(world: World) -> int:
    """The process that looks after the only host there is."""
    [(attempt, host)] = world.executor.hosts()
    return int((world.platform.settings.home / "jobs" / attempt / host / "lock").read_text())
