"""A warm interpreter becomes the job that it is told to be."""

import json
import os
from pathlib import Path

from clary.runtime.tests.conftest import Job, put_package

SCRIPT = """
import json, os, sys
print(json.dumps({
    "preloaded": "sqlite3" in sys.modules, "argv": sys.argv[1:], "secret": os.environ.get("SECRET"),
    "old": os.environ.get("OLD"), "threads": os.environ["OMP_NUM_THREADS"], "found": __import__("extra").VALUE,
    "stdin": sys.stdin.read(),
}))
"""


def order(job: Job, **more: object) -> str:
    environment = job.full_environment(SECRET="s", SM_NUM_CPUS="3")
    environment["PYTHONPATH"] += os.pathsep + str(job.root / "libraries")
    return json.dumps({"argv": ["train"], "env": environment, "cwd": str(job.root)} | more) + "\n"


def prepare(job: Job) -> None:
    job.put("code/train.py", SCRIPT)
    job.put("libraries/extra.py", "VALUE = 5")
    job.configure({"sagemaker_program": "train.py", "epochs": "2"})


EXPECTED = {
    "preloaded": True,
    "argv": ["--epochs", "2"],
    "secret": "s",
    "old": None,
    "threads": "3",
    "found": 5,
    "stdin": "",
}


def test_the_line_on_stdin_names_the_job(job: Job) -> None:
    prepare(job)
    with job.start("warm", "--preload", "sqlite3", CLARY_ML_ROOT="/nowhere", OLD="1") as process:
        out, err = process.communicate(order(job), timeout=180)
    assert process.returncode == 0, err
    assert json.loads(out) == EXPECTED


def test_the_line_in_a_fifo_names_the_job_and_its_output_files(job: Job, tmp_path: Path) -> None:
    prepare(job)
    fifo, out, err = tmp_path / "orders", tmp_path / "out", tmp_path / "err"
    os.mkfifo(fifo)
    with job.start("warm", "--preload", "sqlite3", str(fifo), OLD="1") as process:
        fifo.write_text(order(job, stdout=str(out), stderr=str(err)))
        assert process.communicate(timeout=180) == ("", "")
    assert process.returncode == 0, err.read_text()
    assert json.loads(out.read_text()) == EXPECTED


def test_a_closed_input_ends_it_in_peace(job: Job) -> None:
    with job.start("warm") as process:
        assert process.communicate("", timeout=180) == ("", "")
    assert process.returncode == 0


def test_a_preloaded_module_gives_way_to_the_version_required(job: Job, tmp_path: Path) -> None:
    job.environment = {"CLARY_REQUIREMENTS_CACHE": str(tmp_path / "cache")}
    put_package(job)
    job.put("libraries/shapes.py", "SIDES = 3")
    job.put("code/train.py", "import shapes, sys; print('sides', shapes.SIDES, sys.argv[1:])")
    job.configure({"sagemaker_program": "train.py", "epochs": "2"})
    preloaded = job.full_environment()["PYTHONPATH"] + os.pathsep + str(job.root / "libraries")
    with job.start("warm", "--preload", "shapes", PYTHONPATH=preloaded) as process:
        out, err = process.communicate(order(job), timeout=180)
    assert process.returncode == 0, out + err
    assert out.splitlines()[-1] == "sides 4 ['--epochs', '2']"
