"""What a controller that dies, anywhere, leaves behind: something that the next run completes."""

from pathlib import Path

import pytest

from clary.kernel.jobs.slots import Slots
from clary.kernel.rooms.tests.crossings import Fuse, burning, survive
from clary.systems.batch_transform.reconcile import reconcile
from clary.systems.batch_transform.tests.conftest import World, wait_until


@pytest.mark.slow
def test_a_crash_at_any_crossing_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    """Every write and every call of the executor is crashed before and after, one at a time."""
    world = World(tmp_path / "home", controlled=False)
    world.executor.prepare()
    world.put("crash/in/a", b"1\n")
    slots = Slots(world.platform.store, world.platform.clock, world.platform.settings)
    try:
        for crossing in range(40):
            name, fuse = f"crash-{crossing}", Fuse(crossing)
            world.create(name, "crash/in/")
            with burning(world.platform, fuse):
                run_to_the_end(world, name)
            assert world.describe(name)["TransformJobStatus"] == "Completed", crossing
            assert world.get(f"out/{name}/a.out") == b"2.0\n"
            [said] = world.streams(name).values()
            assert said[-1] == "transformed 1 of 1 objects", "one host ran, and once"
            assert (world.executor.hosts(), slots.owners()) == ([], [])
            if fuse.crossings <= crossing:
                break
        assert crossing > 10, "the crossings were not counted"
    finally:
        world.close()


def run_to_the_end(world: World, name: str) -> None:
    def look() -> bool:
        survive(reconcile, world.platform, (f"000000000000/us-east-1/{name}", None))
        return world.describe(name)["TransformJobStatus"] not in {"InProgress", "Stopping"}

    wait_until(look)
    reconcile(world.platform, None)
