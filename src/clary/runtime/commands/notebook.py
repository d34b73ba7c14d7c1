"""`amazon_sagemaker_scheduler`: run a notebook job, as `NotebookJobStep` of the SageMaker SDK and Studio ask for it.

The environment says what to run (`SM_INPUT_NOTEBOOK_NAME` below `SM_EXECUTION_INPUT_PATH`, `SM_KERNEL_NAME`, the
names of scripts to run before), the hyperparameters are the notebook's parameters. As on AWS the output data then
holds the input notebook, the output notebook and `sagemaker_job_execution.log`, also when the notebook fails.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clary.runtime import failure
from clary.runtime.errors import CustomerError
from clary.runtime.paths import MlPaths, ml_paths

LOG = "sagemaker_job_execution.log"
DEFAULT_INPUT = "sagemaker_headless_execution"
DEFINITION_VERSION = "1.0"
PYTHON_KERNEL = "python3"
TAIL = 3000
INTERRUPTED = 143
_FAILED = "Error with executing notebook"


def run_notebook() -> int:
    """Run the job in a child, whose output goes to this process's own and to the log; return its exit code.

    SIGTERM reaches the child, which interrupts the kernel and leaves the output notebook as far as it came.
    """
    paths = ml_paths()
    paths.output_data.mkdir(parents=True, exist_ok=True)
    child = subprocess.Popen(
        [sys.executable, "-m", "clary.runtime", "notebook", "execute"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    assert child.stdout is not None
    tail = bytearray()
    with (paths.output_data / LOG).open("wb") as log:
        while chunk := os.read(child.stdout.fileno(), 65536):
            for file in (log, sys.stdout.buffer):
                file.write(chunk)
                file.flush()
            tail += chunk
            del tail[:-TAIL]
    code = child.wait()
    if code and not paths.failure.exists():
        failure.record(paths, f"{_FAILED}\n{tail.decode(errors='replace').strip()}")
    return 128 - code if code < 0 else code


def execute() -> int:
    """The child: prepare what the notebook finds, execute it, and say in the failure file what went wrong."""
    paths, asked = ml_paths(), os.environ
    try:
        if asked.get("SM_JOB_DEF_VERSION", DEFINITION_VERSION) != DEFINITION_VERSION:
            raise CustomerError(f"SM_JOB_DEF_VERSION is {asked['SM_JOB_DEF_VERSION']!r}; {DEFINITION_VERSION} is known")
        notebook, output = _places(paths, asked)
        shutil.copy(notebook, paths.output_data)
        os.chdir(notebook.parent)
        _run_scripts(notebook.parent, asked)
        _papermill(notebook, output, _parameters(paths), asked.get("SM_KERNEL_NAME") or PYTHON_KERNEL)
        _convert(output, asked.get("SM_OUTPUT_FORMATS", ""))
    except Exception as error:
        told = str(error) if isinstance(error, CustomerError) else f"{type(error).__name__}: {error}"
        print(told, file=sys.stderr, flush=True)
        failure.record(paths, f"{_FAILED}\n{told}")
        return 1
    except KeyboardInterrupt:
        failure.record(paths, "Notebook execution is interrupted.")
        return INTERRUPTED
    return 0


def _places(paths: MlPaths, asked: Mapping[str, str]) -> tuple[Path, Path]:
    """The input notebook and where the output goes, whose name may hold times that pipeline variables brought."""
    folder = Path(asked.get("SM_EXECUTION_INPUT_PATH") or paths.channel(DEFAULT_INPUT))
    name = asked.get("SM_INPUT_NOTEBOOK_NAME", "")
    if not name or not (folder / name).is_file():
        raise CustomerError(f"cannot find the input notebook {folder / name} (SM_INPUT_NOTEBOOK_NAME)")
    output = asked.get("SM_OUTPUT_NOTEBOOK_NAME") or f"output-{name}"
    stem = re.sub(r"[.:]", "-", output.removesuffix(".ipynb"))
    return folder / name, paths.output_data / f"{stem}.ipynb"


def _parameters(paths: MlPaths) -> dict[str, Any]:
    """The hyperparameters, strings as on AWS."""
    file = paths.config / "hyperparameters.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found


def _run_scripts(folder: Path, asked: Mapping[str, str]) -> None:
    """Run the lifecycle script apart, and source the initialisation script: what that exports the notebook finds."""
    if lifecycle := asked.get("SM_LCC_INIT_SCRIPT"):
        _shell(["/bin/sh", str(folder / lifecycle)], lifecycle)
    if script := asked.get("SM_INIT_SCRIPT"):
        read, write = os.pipe()
        command = f'. "$0" && env -0 >&{write}'
        try:
            _shell(["/bin/bash", "-c", command, str(folder / script)], script, pass_fds=(write,))
        finally:
            os.close(write)
        with open(read, "rb") as file:
            exported = [os.fsdecode(entry).partition("=") for entry in file.read().split(b"\0") if entry]
        os.environ.update({name: value for name, _, value in exported})


def _shell(command: list[str], name: str, pass_fds: tuple[int, ...] = ()) -> None:
    done = subprocess.run(command, pass_fds=pass_fds, check=False)
    if done.returncode != 0:
        raise CustomerError(f"the script {name} ended with exit code {done.returncode}")


def _papermill(notebook: Path, output: Path, parameters: dict[str, Any], kernel: str) -> None:
    try:
        import papermill
    except ImportError as error:
        raise CustomerError(
            f"notebook jobs need the Python module {error.name}: pip install 'clary[notebooks]', then run the job again"
        ) from None
    signal.signal(signal.SIGTERM, _interrupt)
    said = json.loads(notebook.read_bytes()).get("metadata", {}).get("language_info", {}).get("name")
    print(f"Executing {notebook.name} with kernel {kernel} and parameters {parameters}", flush=True)
    papermill.execute_notebook(
        str(notebook),
        str(output),
        parameters=parameters,
        kernel_name=kernel,
        language=None if said else _language(kernel),
        progress_bar=False,
        stdout_file=sys.stdout,
        stderr_file=sys.stderr,
    )
    print("Notebook execution is complete", flush=True)


def _language(kernel: str) -> str:
    """The language of a kernel, for a notebook that does not say which it is written in."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    specs = KernelSpecManager()
    try:
        return str(specs.get_kernel_spec(kernel).language)
    except NoSuchKernel:
        known = ", ".join(sorted(specs.find_kernel_specs()))
        raise CustomerError(f"there is no kernel {kernel!r} here; there are {known}") from None


def _interrupt(*_: object) -> None:
    """Papermill then shuts the kernel down; it has written the notebook as far as it came."""
    raise KeyboardInterrupt


def _convert(output: Path, formats: str) -> None:
    for name in filter(None, formats.split(",")):
        command = [sys.executable, "-m", "nbconvert", "--to", name, str(output)]
        _shell(command, f"nbconvert --to {name}")
