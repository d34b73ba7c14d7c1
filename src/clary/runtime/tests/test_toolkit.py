"""Script mode, as the platform runs it: a subprocess on a temporary /opt/ml."""

import ensurepip
import io
import json
import os
import signal
import sys
import tarfile
from pathlib import Path

import pytest

from clary.runtime.errors import CustomerError
from clary.runtime.tests.conftest import Job, put_package
from clary.runtime.toolkit.archives import extract
from clary.runtime.toolkit.description import read_description
from clary.runtime.toolkit.environment import training_environment, user_arguments
from clary.runtime.toolkit.installing import find_uv

REPORT = """
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
json.dump({"argv": sys.argv[1:], "cwd": os.getcwd(), "here": here, "name": __name__,
           "env": {k: v for k, v in os.environ.items() if k.startswith("SM_")}},
          open(os.path.join(os.environ["SM_MODEL_DIR"], "report.json"), "w"))
print("trained")
"""


def archive(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def test_a_script_gets_its_hyperparameters_and_environment(job: Job) -> None:
    job.put("code/train.py", REPORT)
    job.configure(
        {
            "sagemaker_program": '"train.py"',
            "sagemaker_submit_directory": '"s3://bucket/code/sourcedir.tar.gz"',
            "epochs": "3",
            "learning-rate": "0.1",
            "name": '"resnet"',
            "bare": "adam",
            "layers": "[1, 2]",
            "deep": "true",
            "n": "4",
        },
        {"train": {"TrainingInputMode": "File"}},
    )

    done = job.run("train", TRAINING_JOB_NAME="my-job")

    assert (done.returncode, done.stdout) == (0, "trained\n"), done.stderr
    assert not job.paths.failure.exists()
    report = json.loads((job.paths.model / "report.json").read_text())
    assert report["argv"] == [
        "--bare", "adam", "--deep", "True", "--epochs", "3", "--layers", "[1, 2]", "--learning-rate", "0.1",
        "-n", "4", "--name", "resnet",
    ]  # fmt: skip
    assert report["cwd"] == report["here"] == str(job.paths.code)
    assert report["name"] == "__main__"
    env = report["env"]
    assert env["SM_CHANNEL_TRAIN"] == str(job.paths.channel("train"))
    assert json.loads(env["SM_CHANNELS"]) == ["train"]
    assert json.loads(env["SM_HPS"])["learning-rate"] == 0.1
    assert (env["SM_HP_LEARNING-RATE"], env["SM_HP_LEARNING_RATE"], env["SM_HP_NAME"]) == ("0.1", "0.1", "resnet")
    assert json.loads(env["SM_HOSTS"]) == ["algo-1"]
    assert (env["SM_MODULE_NAME"], env["SM_MODULE_DIR"]) == ("train", "s3://bucket/code/sourcedir.tar.gz")
    assert json.loads(env["SM_TRAINING_ENV"])["job_name"] == "my-job"


def test_v3_writes_the_program_bare_and_the_source_is_a_local_archive(job: Job) -> None:
    source = job.put("elsewhere/sourcedir.tar.gz", archive({"entry.py": REPORT}))
    job.configure({"sagemaker_program": "entry.py", "sagemaker_submit_directory": str(source)})

    done = job.run("train")

    assert done.returncode == 0, done.stderr
    assert json.loads((job.paths.model / "report.json").read_text())["here"] == str(job.paths.code)


def test_an_exception_becomes_the_failure_file(job: Job) -> None:
    job.put("code/train.py", "def fit():\n    raise ValueError('no such column: price')\n\nfit()\n")
    job.configure({"sagemaker_program": "train.py"})

    done = job.run("train")

    assert done.returncode == 1
    assert job.failure.startswith("ValueError: no such column: price\n")
    assert "line 4, in <module>" in job.failure
    assert "execution.py" not in done.stderr


@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [
        ("import sys; sys.exit(7)", 7, "train.py exited with code 7"),
        ("import sys; sys.exit('out of data')", 1, "train.py exited: out of data"),
    ],
)
def test_the_exit_code_is_the_scripts_own(job: Job, script: str, code: int, reason: str) -> None:
    job.put("code/train.py", script)
    job.configure({"sagemaker_program": "train.py"})

    assert job.run("train").returncode == code
    assert job.failure == reason


def test_a_shell_script_and_a_module_run_too(job: Job) -> None:
    job.put("code/train.sh", 'echo "args: $@"; echo "hosts: $SM_HOSTS"; echo broken >&2; exit 3\n')
    job.configure({"sagemaker_program": "train.sh", "epochs": "2"})

    done = job.run("train")

    assert (done.returncode, done.stdout) == (3, 'args: --epochs 2\nhosts: ["algo-1"]\n')
    assert done.stderr == "broken\n"
    assert job.failure == "train.sh exited with code 3\n\nbroken"

    job.put("code/package/__init__.py", "")
    job.put("code/package/__main__.py", "print('module ran')")
    job.configure({"sagemaker_program": "package"})
    assert job.run("train").stdout == "module ran\n"


def test_sigterm_reaches_a_python_script_and_a_shell_script(job: Job) -> None:
    job.put(
        "code/train.py",
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "try:\n    print('ready')\n    signal.pause()\nfinally:\n    print('saving')\n",
    )
    job.put("code/train.sh", "trap 'kill $!; echo saving; exit 0' TERM; sleep 600 & echo ready; wait\n")
    for program in ("train.py", "train.sh"):
        job.configure({"sagemaker_program": program})
        with job.start("train") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=180)
        assert (process.returncode, out) == (0, "saving\n"), err


def test_classes_of_the_script_can_be_pickled_as_main(job: Job) -> None:
    job.put(
        "code/train.py",
        "import pickle\nclass Model:\n    size = 3\nassert pickle.loads(pickle.dumps(Model())).size == 3\n",
    )
    job.configure({"sagemaker_program": "train.py"})
    done = job.run("train")
    assert done.returncode == 0, done.stderr


def test_the_end_of_a_script_is_an_orderly_one(job: Job) -> None:
    job.put(
        "code/train.py",
        "import atexit, concurrent.futures, os, threading\n"
        "atexit.register(print, 'atexit ran')\n"
        "left_open = open(os.path.join(os.environ['SM_MODEL_DIR'], 'left-open'), 'w')\n"
        "left_open.write('written')\n"
        "pool = concurrent.futures.ThreadPoolExecutor()\n"
        "pool.submit(lambda: None)\n"
        "go = threading.Event()\n"
        "threading.Thread(target=lambda: (go.wait(), print('thread ended'))).start()\n"
        "threading.Timer(0.1, go.set).start()\n"
        "print('main ended')\n",
    )
    job.configure({"sagemaker_program": "train.py"})
    done = job.run("train")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "main ended\nthread ended\natexit ran\n"
    assert (job.paths.model / "left-open").read_text() == "written"


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"sagemaker_program": "absent.py"}, "sagemaker_program is 'absent.py'"),
        ({"sagemaker_program": "train.py", "sagemaker_mpi_enabled": "true"}, "sagemaker_mpi_enabled"),
        ({"sagemaker_program": "a.py", "sagemaker_submit_directory": "/nowhere"}, "'/nowhere'"),
        ({}, "nothing to run"),
    ],
)
def test_what_cannot_run_is_told(job: Job, hyperparameters: dict[str, str], message: str) -> None:
    job.put("code/train.py", "")
    job.configure(hyperparameters)
    assert job.run("train").returncode == 1
    assert message in job.failure


def pip() -> str:
    """Where pip can be imported from, in an environment without one: the interpreter's bundled wheel."""
    return str(next(Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")))


@pytest.mark.parametrize("installer", [pytest.param("pip", marks=pytest.mark.slow), "uv"])
def test_requirements_are_installed_once_per_content(job: Job, tmp_path: Path, installer: str) -> None:
    cache = tmp_path / "cache"
    job.environment = {"CLARY_REQUIREMENTS_CACHE": str(cache)}
    if installer == "pip":
        job.environment["PYTHONPATH"] = os.pathsep.join([pip(), *filter(None, sys.path)])
    elif find_uv() is None:
        pytest.skip("uv is not installed")
    put_package(job, requires="numpy" if installer == "pip" else "")
    job.put("code/train.py", "import shapes, subprocess, sys; print('sides', shapes.SIDES, flush=True)\n"
            "subprocess.run([sys.executable, '-c', 'import shapes'], check=True)\n")  # fmt: skip
    job.configure({"sagemaker_program": "train.py"})

    first, second = job.run("train"), job.run("train")

    assert first.returncode == 0, first.stdout + first.stderr
    assert "installing" in first.stdout
    assert "numpy" not in first.stdout.replace("Requirement already satisfied: numpy", "")
    assert second.stdout == "sides 4\n"
    assert len([entry for entry in cache.iterdir() if entry.is_dir()]) == 1


def test_satisfied_requirements_install_nothing_and_impossible_ones_fail(job: Job) -> None:
    job.put("code/train.py", "print('ran')")
    job.put("code/requirements.txt", "# what we need\nnumpy>=1.20\n")
    job.configure({"sagemaker_program": "train.py"})
    assert job.run("train").stdout == "ran\n"

    job.put("code/requirements.txt", "./does-not-exist\n")
    assert job.run("train").returncode == 1
    assert "requirements.txt failed" in job.failure
    assert "does-not-exist" in job.failure


@pytest.mark.parametrize("name", ["../evil.py", "/tmp/evil.py", "ok/../../evil.py"])
def test_archives_cannot_write_outside(tmp_path: Path, name: str) -> None:
    bad = tmp_path / "bad.tar.gz"
    bad.write_bytes(archive({name: "x"}))
    with pytest.raises(CustomerError, match="outside"):
        extract(bad, tmp_path / "target")


def test_archives_cannot_write_through_a_link(tmp_path: Path) -> None:
    bad = tmp_path / "bad.tar.gz"
    with tarfile.open(bad, "w:gz") as tar:
        link = tarfile.TarInfo("door")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(link)
    with pytest.raises(CustomerError, match="outside"):
        extract(bad, tmp_path / "target")


def test_hosts_and_groups_reach_the_environment(job: Job) -> None:
    resource = {
        "current_host": "algo-2",
        "hosts": ["algo-10", "algo-2", "algo-1"],
        "current_group_name": "workers",
        "current_instance_type": "ml.c5.xlarge",
        "instance_groups": [
            {"instance_group_name": "workers", "instance_type": "ml.c5.xlarge", "hosts": ["algo-2", "algo-10"]},
            {"instance_group_name": "lead", "instance_type": "ml.m5.xlarge", "hosts": ["algo-1"]},
        ],
    }
    job.configure({"k": "1"}, resource=resource)
    env = training_environment(job.paths, read_description(job.paths), "train.py", "/code")
    assert json.loads(env["SM_HOSTS"]) == ["algo-1", "algo-2", "algo-10"]
    assert (env["SM_CURRENT_INSTANCE_GROUP"], env["SM_IS_HETERO"]) == ("workers", "true")
    assert json.loads(env["SM_CURRENT_INSTANCE_GROUP_HOSTS"]) == ["algo-2", "algo-10"]
    assert json.loads(env["SM_INSTANCE_GROUPS"]) == ["lead", "workers"]
    assert env["SM_OUTPUT_DATA_DIR"].endswith("output/data/algo-2")
    assert user_arguments({"k": 1}) == ["-k", "1"]
