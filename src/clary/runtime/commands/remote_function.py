"""What the SageMaker SDK's remote functions, `@remote` and `@step`, need of the job that runs them.

Their driver is a shell script in a channel. It expects the image to hold the SDK, and a root user or one with sudo.
Here the SDK of the client's own version is installed when a job first asks for it, and kept for later jobs.
"""

import importlib.metadata
import os
import sys
import sysconfig
import tempfile
from pathlib import Path

from clary.runtime.errors import CustomerError
from clary.runtime.toolkit.installing import kept_packages

DRIVER = "/sagemaker_remote_function_bootstrap/job_driver.sh"
VERSION = "--client_sagemaker_pysdk_version"
# Read by the interpreter before the platform's packages, of which the SDK may want other versions.
PATH_FILE = "clary-image.pth"


def is_driver(command: list[str]) -> bool:
    """Whether the command starts a remote function, as SDK v2 and v3 write it."""
    return any(part.endswith(DRIVER) for part in command)


def prepare(command: list[str]) -> None:
    """Make the environment one in which the driver finds what it expects. Where the SDK cannot be installed, say so
    and go on: the function's own dependencies may name it."""
    cache = Path(os.environ.get("CLARY_REQUIREMENTS_CACHE") or tempfile.mkdtemp())
    # The driver makes what it is told writable by sudo, unless it is root's; here it is the job's own already.
    os.environ.setdefault("LOGNAME", "root")
    # Where the driver keeps what pip downloads for the dependencies of a function: from one job to the next.
    os.environ.setdefault("SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY", str(cache.parent / "remote-functions"))
    version = _after(VERSION, command)
    if version and version != _installed_version():
        try:
            _lend(_sdk(version, cache))
        except CustomerError as error:
            print(f"{error}\nGoing on without the SageMaker SDK {version}.", file=sys.stderr, flush=True)


def _after(option: str, command: list[str]) -> str:
    return command[command.index(option) + 1] if option in command[:-1] else ""


def _installed_version() -> str:
    try:
        return importlib.metadata.version("sagemaker")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _sdk(version: str, cache: Path) -> Path:
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(f"sagemaker=={version}\n")
        return kept_packages(requirements, cache, fast=True)


def _lend(packages: Path) -> None:
    """Show the packages to every Python of this environment, behind what the job itself installs."""
    own = Path(sysconfig.get_path("purelib"))
    own.mkdir(parents=True, exist_ok=True)
    (own / PATH_FILE).write_text(f"{packages}\n")
