"""`run`: commands of a request's own, and what they find that a plain Python lacks."""

import json
import sys

import pytest

from clary.runtime.commands import remote_function
from clary.runtime.tests.conftest import Job

CHANNEL = "sagemaker_headless_execution_pipelinestep"


def test_a_command_takes_the_place_of_the_interpreter(job: Job) -> None:
    done = job.run("run", "/bin/sh", "-c", 'echo "$0 $1"; exit 7', "a b", "c")
    assert (done.returncode, done.stdout) == (7, "a b c\n")


def test_a_command_learns_that_nobody_reads_what_it_writes(job: Job) -> None:
    done = job.run("run", "/bin/bash", "-c", "yes | head -n 1; echo ${PIPESTATUS[0]}")
    assert done.stdout == "y\n141\n", "what Python ignores, SIGPIPE, was left ignored"


@pytest.mark.parametrize(("program", "code"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_a_command_that_cannot_be_run_says_so(job: Job, program: str, code: int) -> None:
    assert job.run("run", program).returncode == code
    assert program in job.failure


def test_only_drivers_of_remote_functions_are_given_the_sdk() -> None:
    driver = "/opt/ml/input/data/sagemaker_remote_function_bootstrap/job_driver.sh"
    assert remote_function.is_driver(["/bin/bash", driver, "--region", "x"])
    assert not remote_function.is_driver(["/bin/bash", "/opt/ml/input/data/code/job_driver.sh"])


def notebook(*cells: str) -> str:
    made = [
        {"cell_type": "code", "id": f"c{n}", "execution_count": None, "metadata": {}, "outputs": [], "source": cell}
        for n, cell in enumerate(cells)
    ]
    made[0]["metadata"] = {"tags": ["parameters"]}
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def prepare(job: Job, *cells: str, **environment: str) -> None:
    pytest.importorskip("papermill")
    job.put(f"input/data/{CHANNEL}/report.ipynb", notebook(*cells))
    job.configure({"name": "Ada"})
    job.environment = {
        "SM_EXECUTION_INPUT_PATH": str(job.root / "input" / "data" / CHANNEL),
        "SM_INPUT_NOTEBOOK_NAME": "report.ipynb",
        "SM_OUTPUT_NOTEBOOK_NAME": "report-2026-01-01T00:00:00.5.ipynb",
        "SM_KERNEL_NAME": "python3",
        "SM_JOB_DEF_VERSION": "1.0",
        "IPYTHONDIR": str(job.root / "ipython"),
    } | environment


def test_a_notebook_runs_with_parameters_and_what_its_script_exports(job: Job) -> None:
    prepare(
        job,
        "name = 'nobody'",
        "import os, sys; print('hello', name, os.environ['GREETING'], sys.executable)",
        SM_INIT_SCRIPT="init.sh",
    )
    job.put(f"input/data/{CHANNEL}/init.sh", "export GREETING='of the\nmorning'\n")

    done = job.run("notebook")

    assert done.returncode == 0, done.stdout + done.stderr
    output = job.paths.output_data
    said = f"hello Ada of the\nmorning {sys.executable}\n"
    ran = json.loads((output / "report-2026-01-01T00-00-00-5.ipynb").read_text())
    assert said in "".join("".join(one["text"]) for cell in ran["cells"] for one in cell["outputs"])
    assert (output / "report.ipynb").read_text() == notebook(*[cell["source"] for cell in json.loads(
        (job.paths.data / CHANNEL / "report.ipynb").read_text())["cells"]])  # fmt: skip
    assert said in (output / "sagemaker_job_execution.log").read_text()
    assert said in done.stdout


def test_a_notebook_that_fails_leaves_what_it_did_and_why(job: Job) -> None:
    prepare(job, "print('before')", "raise ValueError('no such customer')")

    assert job.run("notebook").returncode == 1

    assert job.failure.startswith("Error with executing notebook")
    assert "no such customer" in job.failure
    ran = json.loads((job.paths.output_data / "report-2026-01-01T00-00-00-5.ipynb").read_text())
    assert "before" in json.dumps(ran)
    assert "no such customer" in (job.paths.output_data / "sagemaker_job_execution.log").read_text()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"SM_INPUT_NOTEBOOK_NAME": "other.ipynb"}, "other.ipynb"),
        ({"SM_KERNEL_NAME": "julia"}, "no kernel 'julia' here; there are"),
        ({"SM_JOB_DEF_VERSION": "2.0"}, "2.0"),
        ({"SM_INIT_SCRIPT": "missing.sh"}, "missing.sh"),
    ],
)
def test_what_is_missing_is_named(job: Job, environment: dict[str, str], said: str) -> None:
    prepare(job, "1", **environment)
    assert job.run("notebook").returncode == 1
    assert said in job.failure
