"""A host runs once, to its end, and its end is told as it was."""

import json
import os
import signal
from dataclasses import replace

import pytest

from clary.kernel.jobs.contract import Channel, Failure, Kind, MetricDefinition, Observation, Outcome, Phase
from clary.testing import eventually


def test_success(world):
    seen = world.run("print('hello')")
    assert (seen.outcome, seen.exit_code, seen.failure, seen.reason) == (Outcome.COMPLETED, 0, None, "")
    assert list(seen.phases) == ["Pending", "Downloading", "Starting", "Running", "Uploading", "Ended"]
    assert list(seen.phases.values()) == sorted(seen.phases.values())


def test_observation_survives_json(world):
    seen = world.run("print('loss=0.5')", metrics=(MetricDefinition("loss", "loss=(.*)"),))
    assert Observation.from_json(seen.to_json()) == seen


def test_spec_survives_json(world):
    spec = world.spec("pass", metrics=(MetricDefinition("a", "b"),), peers={"algo-1": "127.0.0.1"}, files={"a": "b"})
    assert type(spec).from_json(spec.to_json()) == spec


def test_failure_file_is_the_reason(world):
    seen = world.run("open(f'{ML}/output/failure', 'w').write('x' * 2000)\nsys.exit(3)")
    assert (seen.outcome, seen.exit_code, seen.failure) == (Outcome.FAILED, 3, Failure.ALGORITHM)
    assert seen.reason == "x" * 1024


def test_last_lines_of_stderr_are_the_reason(world):
    seen = world.run("print('out')\nraise RuntimeError('no such column')")
    assert seen.outcome is Outcome.FAILED
    assert seen.reason.endswith("RuntimeError: no such column")


def test_message_file_explains_success(world):
    assert world.run("open(f'{ML}/output/message', 'w').write('12 rows')").reason == "12 rows"


def test_death_by_signal(world):
    seen = world.run("os.kill(os.getpid(), signal.SIGSEGV)")
    assert (seen.outcome, seen.signal, seen.exit_code) == (Outcome.FAILED, signal.SIGSEGV, 128 + signal.SIGSEGV)


def test_a_program_dies_of_a_pipe_that_nobody_reads(world):
    seen = world.run("", argv=("bash", "-c", "yes | head -n 1; exit ${PIPESTATUS[0]}"))
    assert seen.exit_code == 128 + signal.SIGPIPE


def test_program_that_does_not_exist(world):
    seen = world.run("", argv=("no-such-program",))
    assert seen.outcome is Outcome.FAILED
    assert "no-such-program" in seen.reason


def test_second_start_is_a_no_op(world):
    spec = world.start("print('once')")
    world.executor.start(spec)
    world.ended(spec)
    world.executor.start(replace(spec, argv=("false",)))
    assert world.observe(spec).outcome is Outcome.COMPLETED
    assert world.lines(spec) == ["once"]


def test_start_that_a_crash_cut_short_is_repaired(world):
    from clary.kernel.jobs.folder import HostFolder

    spec = world.spec("print('late')")
    folder = HostFolder(world.home, spec.job, spec.host)
    folder.create(spec)
    assert world.observe(spec).phase is Phase.PENDING
    os.utime(folder.path, (0, 0))  # long ago
    assert world.executor.observe(spec.job, spec.host) is None, "nobody comes any more"
    assert (spec.job, spec.host) in world.executor.hosts()
    world.executor.start(spec)
    assert world.ended(spec).outcome is Outcome.COMPLETED


def test_start_without_a_nursery(world):
    from clary.executors.process import ProcessExecutor
    from clary.kernel.events import socket_path

    socket = socket_path(world.home, "nursery")
    world.until(socket.exists)
    aside = socket.with_suffix(".aside")
    socket.rename(aside)
    try:
        spec = world.spec("print('slowly')")
        ProcessExecutor(world.home, plain=not world.confined).start(spec)
        assert world.ended(spec).outcome is Outcome.COMPLETED
    finally:
        aside.rename(socket)


def test_stop_lets_the_program_save_its_work(world):
    spec = world.start(
        "def save(*_):\n"
        "    open(f'{ML}/model/weights', 'w').write('saved')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, save)\n"
        "print('ready')\n"
        "signal.pause()"
    )
    world.said(spec, "ready")
    world.executor.stop(spec.job, spec.host)
    seen = world.ended(spec)
    assert (seen.outcome, seen.exit_code) == (Outcome.STOPPED, 0)


def test_stop_reaches_a_program_behind_a_shell(world):
    script = (
        "python -c \"import signal, sys; signal.signal(signal.SIGTERM, lambda *_: (print('saving'), sys.exit(0)));"
        "print('ready', flush=True); signal.pause()\"; true"
    )
    spec = world.start("", argv=("/bin/bash", "-c", script))
    world.said(spec, "ready")
    world.executor.stop(spec.job, spec.host)
    assert world.ended(spec).outcome is Outcome.STOPPED
    assert "saving" in world.lines(spec)


def test_stop_kills_after_the_grace(world):
    script = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready')\nwhile True: signal.pause()"
    spec = world.start(script, stop_grace_seconds=0.2)
    world.said(spec, "ready")
    world.executor.stop(spec.job, spec.host)
    seen = world.ended(spec)
    assert (seen.outcome, seen.signal) == (Outcome.STOPPED, signal.SIGKILL)


def test_stop_before_it_runs(world):
    from clary.kernel.jobs.folder import HostFolder

    spec = world.spec("print('never')")
    HostFolder(world.home, spec.job, spec.host).create(spec)
    world.executor.stop(spec.job, spec.host)
    world.executor.start(spec)
    seen = world.ended(spec)
    assert (seen.outcome, seen.exit_code) == (Outcome.STOPPED, None)
    assert world.lines(spec) == []


def test_stop_while_it_is_being_started(world):
    """As the sandbox is made there is no program to tell yet; it is told all the same, and not killed."""
    spec = world.start("signal.pause()")
    world.until(lambda: world.observe(spec).phase in {Phase.STARTING, Phase.RUNNING})
    world.executor.stop(spec.job, spec.host)
    seen = world.ended(spec)
    assert (seen.outcome, seen.signal) == (Outcome.STOPPED, signal.SIGTERM)


def test_stop_of_the_unknown_and_the_ended(world):
    world.executor.stop("nobody", "algo-1")
    spec = world.start("pass")
    world.ended(spec)
    world.executor.stop(spec.job, spec.host)
    assert world.observe(spec).outcome is Outcome.COMPLETED


def test_out_of_time(world):
    seen = world.run("print('ready')\nsignal.pause()", max_runtime_seconds=0.3)
    assert (seen.outcome, seen.signal) == (Outcome.TIMED_OUT, signal.SIGTERM)


def test_configuration_files(world):
    spec = world.start(
        "print(open(f'{ML}/input/config/hyperparameters.json').read())",
        files={"input/config/hyperparameters.json": '{"eta": "0.1"}'},
    )
    assert world.report(spec) == {"eta": "0.1"}


def test_environment_is_only_what_was_given(world, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    spec = world.start("print(json.dumps(dict(os.environ)))", environment={"GIVEN": "a b\nc", "OMP_NUM_THREADS": "7"})
    found = world.report(spec)
    assert found["GIVEN"] == "a b\nc"
    assert found["OMP_NUM_THREADS"] == "7"
    assert found["MKL_NUM_THREADS"] == "1"
    assert "SECRET_OF_THE_SERVER" not in found


def test_environment_cannot_reach_outside_the_sandbox(confined):
    """A library named by the job is loaded inside, not into what makes the sandbox."""
    spec = confined.start("print('fine')", environment={"LD_PRELOAD": "/opt/ml/evil.so"})
    confined.ended(spec)
    assert all("bwrap" not in line for line in confined.lines(spec))


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a" * 201])
def test_unsafe_names_are_refused(world, name):
    with pytest.raises(ValueError, match="safe name"):
        world.spec("pass", job=name)


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "a/../../b", "."])
def test_unsafe_paths_are_refused(world, path):
    with pytest.raises(ValueError, match="inside"):
        world.spec("pass", files={path: ""})


def test_two_hosts_find_each_other(world):
    listen = (
        "import socket\n"
        "server = socket.create_server((os.environ['ADDRESS'], 45671))\n"
        "print('listening', flush=True)\n"
        "print(server.accept()[0].recv(100).decode())"
    )
    call = (
        "import socket\n"
        "addresses = json.loads(os.environ['CLARY_HOST_ADDRESSES'])\n"
        "target = 'algo-1' if 'CLARY_ML_ROOT' not in os.environ else addresses['algo-1']\n"
        "socket.create_connection((target, 45671)).send(b'from ' + os.environ['HOSTNAME'].encode())"
    )
    mine = f"{os.getpid() // 256 % 256}.{os.getpid() % 256}"  # the same test may run beside us, with plain processes
    peers = {"algo-1": f"127.77.{mine}", "algo-2": f"127.78.{mine}"}
    first = world.start(listen, peers=peers, environment={"ADDRESS": peers["algo-1"]})
    world.said(first, "listening")
    second = world.start(call, job=first.job, host="algo-2", peers=peers)
    assert world.ended(second).outcome is Outcome.COMPLETED
    world.ended(first)
    assert "from algo-2" in world.lines(first)


def test_list_and_forget(world):
    spec = world.start("print('ready')\nsignal.pause()")
    world.said(spec, "ready")
    assert (spec.job, spec.host) in world.executor.hosts()
    world.executor.forget(spec.job, spec.host)
    assert world.executor.observe(spec.job, spec.host) is None
    assert (spec.job, spec.host) not in world.executor.hosts()
    assert not (world.home / "jobs" / spec.job).exists()
    world.executor.forget(spec.job, spec.host)


def test_what_happens_to_a_host_wakes_the_caller(world):
    spec = world.spec("pass")
    world.alarm.wait(0.001)
    world.executor.start(spec)
    eventually(lambda: ("test", spec.job) in world.alarm.wait(0.05))
    assert world.ended(spec).outcome is Outcome.COMPLETED


def test_capabilities_name_what_is_missing(world):
    found = {one.name: one for one in world.executor.capabilities()}
    assert found["sandbox"].available is world.confined
    assert json.dumps(found["sandbox"].detail)
    assert all(one.detail for one in found.values())


def test_kinds():
    assert Kind("task") is Kind.TASK


def test_command_line_of_sagemaker_sdk_3(world):
    """Its channels bring shell scripts that it makes executable first."""
    world.put(
        "drivers/sm_train.sh", '#!/bin/bash\nset -e\necho "python: $(which python3)"\npython3 "$(dirname $0)/hi.py"\n'
    )
    world.put("drivers/hi.py", "print('hi from the driver')")
    place = "/opt/ml/input/data/sm_drivers"
    spec = world.start(
        "",
        argv=("/bin/bash", "-c", f"chmod +x {place}/sm_train.sh && {place}/sm_train.sh"),
        channels=(Channel("sm_drivers", "s3://work/drivers/"),),
    )
    assert world.ended(spec).outcome is Outcome.COMPLETED
    assert "hi from the driver" in world.lines(spec)
