"""What a controller that dies, anywhere, leaves behind: something that the next run completes."""

import pytest

from clary.kernel.rooms.tests.worlds import crash_everywhere
from clary.systems.batch_transform.tests.conftest import World


@pytest.mark.slow
def test_a_crash_at_any_crossing_loses_nothing_and_leaves_nothing(still_world: World) -> None:
    world = still_world
    world.put("crash/in/a", b"1\n")

    def check(name: str) -> None:
        assert world.get(f"out/{name}/a.out") == b"2.0\n"
        [said] = world.streams(name).values()
        assert said[-1] == "transformed 1 of 1 objects", "one host ran, and once"

    crash_everywhere(world, lambda name: world.create(name, "crash/in/"), check)
