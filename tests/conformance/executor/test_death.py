"""Whoever dies, nothing is half alive: a host goes on to its end, or is gone whole and known to be lost."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from clary.kernel.jobs.contract import Outcome, Output, Phase

# A child that leaves its session and its parent, as daemons do.
DAEMON = (
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork():\n"
    "        os._exit(0)\n"
    "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "    print('daemon', flush=True)\n"
    "    signal.pause()\n"
    "os.wait()\n"
)


def with_daemon(world, rest="signal.pause()"):
    spec = world.start(DAEMON + "print('ready')\n" + rest)
    world.said(spec, "ready")
    world.said(spec, "daemon")
    return spec, world.family(spec)


def test_shim_killed(world):
    spec, family = with_daemon(world)
    assert len(family) >= 4
    os.kill(family[0].pid, signal.SIGKILL)
    world.vanish(family)
    seen = world.observe(spec)
    assert (seen.outcome, seen.phase) == (Outcome.LOST, Phase.ENDED)
    assert "new attempt" in seen.reason
    world.executor.start(spec)
    assert world.observe(spec).outcome is Outcome.LOST


def test_daemons_end_with_their_program(world):
    spec, family = with_daemon(world, "sys.exit(0)")
    assert world.ended(spec).outcome is Outcome.COMPLETED
    world.vanish(family)


def test_every_process_of_a_host_killed_in_turn(world):
    spec, family = with_daemon(world)
    for number in range(1, len(family)):
        victim, before = (spec, family) if number == 1 else with_daemon(world)
        before[number].kill()
        if before[number].pid != before[-1].pid:
            assert world.ended(victim).outcome is Outcome.FAILED
        else:
            world.executor.forget(victim.job, victim.host)
        world.vanish(before)


def test_starter_killed(world):
    script = (
        "import sys; from pathlib import Path; from clary.executors.process import ProcessExecutor;"
        "from clary.kernel.jobs.contract import HostSpec; import signal;"
        "executor = ProcessExecutor(Path(sys.argv[1]), plain=sys.argv[2] == 'plain');"
        "executor.start(HostSpec.from_json(sys.argv[3])); print('started', flush=True); signal.pause()"
    )
    spec = world.spec("print('ready', flush=True)\nsignal.sigtimedwait([signal.SIGUSR1], 0.5)\nprint('done')")
    mode = "bubblewrap" if world.confined else "plain"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(world.home), mode, spec.to_json()],
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as starter:
        assert starter.stdout.readline() == "started\n"
        os.killpg(starter.pid, signal.SIGKILL)
    assert world.ended(spec).outcome is Outcome.COMPLETED
    assert world.lines(spec) == ["ready", "done"]


def test_nursery_killed(world):
    spec = world.start("print('ready')\nsignal.pause()")
    world.said(spec, "ready")
    nursery = world.executor._nursery
    nursery.kill()
    nursery.wait()
    assert world.observe(spec).phase is Phase.RUNNING
    world.executor.stop(spec.job, spec.host)
    assert world.ended(spec).outcome is Outcome.STOPPED
    assert world.run("pass").outcome is Outcome.COMPLETED
    assert world.executor._nursery is not nursery
    assert world.run("pass").outcome is Outcome.COMPLETED


def test_killed_while_it_uploads(world):
    """What was not whole in time is not there at all."""
    spec = world.start(
        "open(f'{ML}/model/w', 'wb').write(os.urandom(30_000_000))",
        outputs=(Output("model", "s3://work/cut/model.tar.gz"),),
    )
    world.until(lambda: world.observe(spec).phase in {Phase.UPLOADING, Phase.ENDED})
    if world.observe(spec).phase is Phase.UPLOADING:
        with contextlib.suppress(ProcessLookupError):  # it was done in time
            os.kill(world.observe(spec).shim_pid, signal.SIGKILL)
    seen = world.ended(spec)
    whole = world.keys("cut/") == ["cut/model.tar.gz"] and len(world.get("cut/model.tar.gz")) > 29_000_000
    assert whole if seen.outcome is Outcome.COMPLETED else world.keys("cut/") in ([], ["cut/model.tar.gz"])
    if world.keys("cut/"):
        assert whole
        world.objects.delete("work", "cut/model.tar.gz")


@pytest.mark.parametrize("signal_", [signal.SIGSTOP, signal.SIGTERM])
def test_forget_ends_a_host_that_does_not_listen(world, signal_):
    spec, family = with_daemon(world)
    family[-1].send_signal(signal_)
    world.executor.forget(spec.job, spec.host)
    world.vanish(family)


def test_end_all(world):
    first, family = with_daemon(world)
    second, other = with_daemon(world)
    assert world.executor.end_all() == 2
    world.vanish(family + other)
    assert world.observe(first).outcome is world.observe(second).outcome is Outcome.LOST
    world.executor.end_all(forget=True)
    assert world.executor.hosts() == []
