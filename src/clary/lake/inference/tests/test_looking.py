"""Files are looked into by a process that ends when one takes it too much, and not because the machine is busy."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import threading
from clary.lake.inference import worker
worker.CPU_SECONDS_FOR_A_FILE = 0.2

def classify(path, name, classifiers):
    if name == "waits":
        threading.Event().wait(1.0)
        raise ValueError("at last")
    while True:
        pass

worker.classify = classify
worker.main()
"""


def looked_into(path: Path, name: str) -> subprocess.CompletedProcess[str]:
    request = f'{{"path": "{path}", "name": "{name}", "classifiers": []}}\n'
    return subprocess.run([sys.executable, "-c", PROGRAM], input=request, capture_output=True, text=True, check=False)


def test_what_takes_too_much_of_the_processor_is_ended(tmp_path: Path) -> None:
    done = looked_into(tmp_path, "endless")
    assert (done.returncode < 0, done.stdout) == (True, "")


def test_what_has_to_wait_for_the_processor_is_not(tmp_path: Path) -> None:
    assert looked_into(tmp_path, "waits").stdout == '{"error": "at last"}\n'
