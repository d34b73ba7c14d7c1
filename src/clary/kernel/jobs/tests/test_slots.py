"""Jobs share the machine by what their instance types promise, cut to what there is."""

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.settings import Settings
from clary.kernel.jobs.contract import Resources
from clary.kernel.jobs.instance_types import GIB, Size, size_of
from clary.kernel.jobs.slots import Machine, Slots, clamp, place
from clary.kernel.store.sql import open_sqlite

SMALL = Machine(4, 16 * GIB)
LARGE = Machine(16, 64 * GIB, (0, 1, 2, 3))


@pytest.mark.parametrize(
    ("name", "cpus", "gib", "gpus"),
    [
        ("ml.m5.large", 2, 8, 0),
        ("ml.m5.xlarge", 4, 16, 0),
        ("ml.c5.9xlarge", 36, 72, 0),
        ("ml.r5.24xlarge", 96, 768, 0),
        ("ml.t3.medium", 2, 4, 0),
        ("ml.g4dn.xlarge", 4, 16, 1),
        ("ml.g5.48xlarge", 192, 768, 8),
        ("ml.p3.8xlarge", 32, 244, 4),
        ("ml.p4d.24xlarge", 96, 1152, 8),
        ("ml.trn1.2xlarge", 8, 32, 0),
        ("ml.geospatial.interactive", 2, 8, 0),
        ("local", 2, 8, 0),
    ],
)
def test_sizes(name, cpus, gib, gpus):
    assert size_of(name) == Size(cpus, gib * GIB, gpus)


def test_every_instance_type_has_a_sensible_size():
    names = botocore.session.get_session().get_service_model("sagemaker").shape_for("TrainingInstanceType").enum
    for name in names:
        size = size_of(name)
        assert 1 <= size.cpus <= 448
        assert GIB <= size.memory_bytes <= 8192 * GIB
        assert (size.gpus > 0) == name.startswith(("ml.g", "ml.p"))


def test_a_wish_is_cut_to_the_machine():
    assert clamp(size_of("ml.p4d.24xlarge"), SMALL) == Size(4, 16 * GIB, 0)


def test_jobs_wait_for_each_other():
    one = place(SMALL, [], [Size(3, GIB, 0)])
    assert one == [Resources(3, GIB)]
    assert place(SMALL, one, [Size(2, GIB, 0)]) is None
    assert place(SMALL, one, [Size(1, GIB, 0)]) == [Resources(1, GIB)]
    assert place(SMALL, one, [Size(1, 16 * GIB, 0)]) is None


def test_gpus_are_not_shared_between_jobs():
    held = place(LARGE, [], [Size(1, GIB, 1), Size(1, GIB, 2)])
    assert [one.gpus for one in held] == [(0,), (1, 2)]
    assert place(LARGE, held, [Size(1, GIB, 2)]) is None
    assert place(LARGE, held, [Size(1, GIB, 1)])[0].gpus == (3,)


def test_a_job_too_large_runs_alone():
    hosts = [Size(4, 16 * GIB, 0)] * 2
    assert place(SMALL, [Resources(1, GIB)], hosts) is None
    assert place(SMALL, [], hosts) == [Resources(2, 8 * GIB)] * 2


sizes = st.builds(Size, st.integers(1, 200), st.integers(1, 999 * GIB), st.integers(0, 9))
machines = st.builds(Machine, st.integers(1, 64), st.integers(GIB, 99 * GIB), st.sampled_from([(), (0,), (0, 1, 2)]))


@given(machines, st.lists(sizes, min_size=1, max_size=8))
def test_any_job_can_run_alone(machine, wanted):
    given_ = place(machine, [], wanted)
    assert given_ is not None
    assert all(one.cpus >= 1 and set(one.gpus) <= set(machine.gpus) for one in given_)
    assert all(bool(one.gpus) == bool(size.gpus and machine.gpus) for one, size in zip(given_, wanted, strict=True))


@given(machines, st.lists(st.lists(sizes, min_size=1, max_size=3), max_size=8))
def test_running_jobs_never_exceed_the_machine(machine, jobs):
    held = []
    for wanted in jobs:
        found = place(machine, held, wanted)
        if found is not None and (held or sum(one.cpus for one in found) <= machine.cpus):
            held += found
    assert sum(one.cpus for one in held) <= machine.cpus
    assert sum(one.memory_bytes for one in held) <= machine.memory_bytes


def test_holdings_are_remembered(tmp_path):
    settings = Settings.load({}, home=tmp_path, slots_cpus=4)
    store = open_sqlite(tmp_path / "records.db")
    slots = Slots(store, VirtualClock(), settings)
    first = slots.acquire("a", ["ml.m5.xlarge"], topic="x", since=1.0)
    assert first[0].cpus == 4
    assert slots.acquire("a", ["ml.m5.large"], topic="x", since=1.0) == first
    again = Slots(store, VirtualClock(), settings)
    assert again.acquire("b", ["ml.m5.large"], topic="x", since=2.0) is None
    assert (again.owners(), again.waiting()) == (["a", "b"], ["x"])
    again.release("a")
    again.release("a")
    assert slots.acquire("b", ["ml.m5.large"], topic="x", since=2.0) is not None
    assert (again.owners(), again.waiting()) == (["b"], [])
    store.close()


def test_rooms_stand_in_one_line(tmp_path):
    """A large job that came first is not passed for ever by small ones of another room."""
    store = open_sqlite(tmp_path / "records.db")
    slots = Slots(store, VirtualClock(), Settings.load({}, home=tmp_path, slots_cpus=4))
    assert slots.acquire("runs", ["ml.m5.large"], topic="x", since=1.0)
    assert slots.acquire("large", ["ml.m5.xlarge"], topic="x", since=2.0) is None
    assert slots.acquire("small", ["ml.m5.large"], topic="y", since=3.0) is None, "it would fit, but came later"
    assert slots.waiting() == ["x", "y"]
    slots.release("runs")
    assert slots.acquire("large", ["ml.m5.xlarge"], topic="x", since=2.0)
    assert slots.acquire("small", ["ml.m5.large"], topic="y", since=3.0) is None
    slots.release("large")
    assert slots.acquire("small", ["ml.m5.large"], topic="y", since=3.0)
    assert slots.waiting() == []
    store.close()
