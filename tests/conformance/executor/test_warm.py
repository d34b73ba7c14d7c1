"""Interpreters that stand ready are taken, replaced, and gone with the nursery."""

import json
import subprocess
import sys

import psutil
import pytest

from clary.executors.process import ProcessExecutor
from clary.executors.process.warm import WarmKey, suitable
from clary.kernel.jobs.contract import Channel, InputMode, Kind, Outcome, Resources
from clary.kernel.jobs.folder import HostFolder

RUNTIME = ("python", "-m", "clary.runtime", "train")


def waiting(world):
    folder = world.home / "jobs" / ".warm"
    return [box.name for box in folder.iterdir()] if folder.exists() else []


def train(world, script, **members):
    """A host that runs a script by the runtime's script mode."""
    files = {
        "code/train.py": script,
        "input/config/hyperparameters.json": json.dumps({"sagemaker_program": "train.py"}),
    }
    return world.start("", argv=RUNTIME, files=files, **members)


def test_warm_interpreter_is_taken_and_replaced(confined):
    warm = "python:decimal"
    confined.executor.prepare(((("111122223333"), warm),))
    ready = confined.until(lambda: waiting(confined))
    began = confined.clock.now()
    spec = train(confined, "import os; print('who', os.environ['GIVEN'])", warm=warm, environment={"GIVEN": "x"})
    confined.said(spec, "who x")
    seen = confined.ended(spec)
    assert seen.outcome is Outcome.COMPLETED
    assert psutil.boot_time() < began
    confined.until(lambda: not set(waiting(confined)) & set(ready))
    confined.until(lambda: waiting(confined))


def test_warm_and_cold_hosts_are_alike(confined):
    script = "import json, os, sys; print(json.dumps([dict(os.environ), os.getcwd(), os.listdir('/opt/ml/input')]))"
    confined.executor.prepare((("111122223333", "python:decimal"),))
    confined.until(lambda: waiting(confined))
    environment, cwd, inputs = confined.report(train(confined, script, warm="python:decimal"))
    cold = confined.report(train(confined, script))
    assert (cwd, sorted(inputs)) == (cold[1], sorted(cold[2]))
    assert environment == cold[0]


def test_module_that_cannot_be_imported_costs_nothing(confined):
    confined.executor.prepare((("111122223333", "python:no_such_module"),))
    spec = train(confined, "print('fine')", warm="python:no_such_module")
    assert confined.ended(spec).outcome is Outcome.COMPLETED


def test_an_order_that_comes_as_its_sandbox_dies_is_carried_out(confined):
    spec = confined.spec("print('fine')")
    HostFolder(confined.home, spec.job, spec.host).create(spec)
    waiter = (
        "import json, select, socket, sys; from pathlib import Path;"
        "from clary.executors.process.warm import WarmKey, wait_for_host;"
        "home, *order = sys.argv[1:];"
        "ours, theirs = socket.socketpair();"
        "look = select.select;"
        "select.select = lambda read, *_: (ours.send(json.dumps(order).encode()), look(read[1:], [], []))[1];"
        "wait_for_host(Path(home), WarmKey('111122223333', ('no_such_module',)), theirs)"
    )
    subprocess.run([sys.executable, "-c", waiter, str(confined.home), spec.job, spec.host], check=True, timeout=180)
    assert confined.ended(spec).outcome is Outcome.COMPLETED
    assert confined.lines(spec) == ["fine"]


def test_warm_ends_with_the_nursery(confined):
    executor = ProcessExecutor(confined.home)
    confined.executor.close()
    others = {one.pid for one in psutil.process_iter()}
    executor.prepare((("111122223333", "python:decimal"),))
    confined.until(lambda: waiting(confined))
    nursery = psutil.Process(executor._nursery.pid)
    family = [nursery, *nursery.children(recursive=True)]
    sandboxes = [one for one in psutil.process_iter() if one.pid not in others and _is_warm(one)]
    executor._nursery.kill()
    executor.close()
    confined.vanish(family + sandboxes)
    confined.until(lambda: not waiting(confined))
    confined.executor.prepare()


def _is_warm(process):
    try:
        return {"clary.runtime", "warm", "decimal"} <= set(process.cmdline())
    except psutil.Error:
        return False


@pytest.mark.parametrize(
    "members",
    [
        {"network": False},
        {"argv": ("python", "-c", "pass")},
        {"resources": Resources(gpus=(0,))},
        {"host": "algo-2"},
        {"warm": None},
        {"warm": "julia:Flux"},
        {"channels": (Channel("train", "s3://work/x", mode=InputMode.FAST_FILE),)},
    ],
)
def test_what_needs_a_sandbox_of_its_own(world, members):
    assert suitable(world.spec("", **({"argv": RUNTIME, "warm": "python:numpy"} | members))) is None


def test_what_a_warm_sandbox_is_good_for(world):
    spec = world.spec("", argv=RUNTIME, warm="python:numpy,xgboost")
    assert suitable(spec) == WarmKey("111122223333", ("numpy", "xgboost"))
    service = world.spec("", argv=RUNTIME, warm="python:numpy", kind=Kind.SERVICE, host="server-1", port=8080)
    assert suitable(service) is not None
