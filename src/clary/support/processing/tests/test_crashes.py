"""What a controller that dies, anywhere, leaves behind: something that the next run completes."""

import os
import signal

import pytest

from clary.kernel.jobs.slots import Slots
from clary.kernel.rooms.tests.crossings import Fuse, burning, survive
from clary.support.processing.reconcile import reconcile
from clary.support.processing.tests.conftest import BUCKET, ENDED, World, s3_outputs, wait_until

OUT = "/opt/ml/processing/output"


def run_to_the_end(world: World, name: str, fuse: Fuse) -> None:
    """Reconcile until the job has ended, crashing where the fuse says, then going on as a new controller would."""
    keys = (f"000000000000/us-east-1/{name}", None)

    def look() -> bool:
        survive(reconcile, world.platform, keys)
        return world.describe(name)["ProcessingJobStatus"] in ENDED

    with burning(world.platform, fuse):
        wait_until(look)
        reconcile(world.platform, None)


@pytest.mark.slow
def test_a_crash_at_any_crossing_loses_nothing_and_leaves_nothing(still_world: World) -> None:
    """Every write and every call of the executor is crashed before and after, one at a time."""
    world = still_world
    world.executor.prepare()
    for crossing in range(40):
        name = f"crash-{crossing}"
        script = f"cp /proc/sys/kernel/random/uuid {OUT}/$(cat /proc/sys/kernel/random/uuid)"
        world.create(name, script, ProcessingOutputConfig=s3_outputs(f"s3://{BUCKET}/{name}", OUT))
        fuse = Fuse(crossing)
        run_to_the_end(world, name, fuse)
        job = world.describe(name)
        assert job["ProcessingJobStatus"] == "Completed", (crossing, job.get("FailureReason"))
        assert len(world.keys(f"{name}/")) == 1, "the job ran more than once, or its output is lost"
        assert world.executor.hosts() == []
        assert Slots(world.platform.store, world.platform.clock, world.platform.settings).owners() == []
        if fuse.crossings <= crossing:
            break
    assert crossing > 10, "the crossings were not counted"


def test_a_lost_shim_means_another_attempt(still_world: World) -> None:
    world = still_world
    world.start_controller()
    world.create("lost", "echo up; while true; do read -t 1 <> <(:) || :; done")
    wait_until(lambda: world.lines("lost") == ["up"])
    [(attempt, host)] = world.executor.hosts()
    lock = world.platform.settings.home / "jobs" / attempt / host / "lock"
    os.kill(int(lock.read_text()), signal.SIGKILL)
    wait_until(lambda: world.lines("lost") == ["up", "up"])
    [(again, _)] = world.executor.hosts()
    assert again.rpartition("-")[0] == attempt.rpartition("-")[0]
    assert again.endswith("-2")
    world.stop_controller()
    world.call("StopProcessingJob", ProcessingJobName="lost")
    assert world.describe("lost")["ProcessingJobStatus"] == "Stopping"
    world.start_controller()
    assert world.ended("lost")["ProcessingJobStatus"] == "Stopped"
