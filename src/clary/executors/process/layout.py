"""What a host finds around it: its folders, its environment variables, the names of its peers."""

import json
import stat
import sys
from pathlib import Path

from clary.executors.process import python_environment
from clary.kernel.jobs import confinement
from clary.kernel.jobs.contract import ML_ROOT, HostSpec
from clary.kernel.jobs.folder import HostFolder

PLATFORM_ROOT = "/clary"
_THREAD_COUNTS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def make_box(box: Path) -> None:
    """Create what a sandbox needs before its specification is known; harmless when it exists."""
    if (box / "env").exists():
        return
    for name in ("ml", "home", "tmp", "etc"):
        (box / name).mkdir(parents=True, exist_ok=True)
    (box / "tmp").chmod(0o777 | stat.S_ISVTX)
    python_environment.make(box / "env")
    (box / "etc" / "hosts").touch()


def account_cache(home: Path, account: str) -> Path:
    """Where hosts of one account share what is costly to make again: wheels and installed requirements."""
    folder = home / "cache" / "jobs" / account
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_peers(box: Path, peers: dict[str, str]) -> None:
    """Make the peers' names resolve. Written in place: a sandbox that is already running has this very file mounted."""
    lines = ["127.0.0.1 localhost", "::1 localhost", *(f"{address} {name}" for name, address in peers.items())]
    (box / "etc" / "hosts").write_text("\n".join(lines) + "\n")


def base_environment(roots: dict[str, str]) -> dict[str, str]:
    """What every process on the platform finds. `roots` says where env, home, cache, tmp and ml are as it sees them."""
    programs = Path(roots["env"]) / "bin"
    platform = confinement.interpreter().parent
    found = {
        "PATH": f"{programs}:{Path(sys.executable).parent}:{platform}:{_SYSTEM_PATH}",
        "HOME": roots["home"],
        "TMPDIR": roots["tmp"],
        "LANG": "C.UTF-8",
        "VIRTUAL_ENV": roots["env"],
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PIP_CACHE_DIR": f"{roots['cache']}/pip",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "UV_CACHE_DIR": f"{roots['cache']}/uv",
        "UV_NATIVE_TLS": "1",  # the system's certificates, as pip has
        "CLARY_REQUIREMENTS_CACHE": f"{roots['cache']}/requirements",
    }
    if roots["ml"] != ML_ROOT:
        found["CLARY_ML_ROOT"] = roots["ml"]
    return found


def environment(spec: HostSpec, roots: dict[str, str]) -> dict[str, str]:
    """The whole environment of one host."""
    found = base_environment(roots) | {
        "HOSTNAME": spec.host,
        "PWD": spec.cwd,
        "SM_NUM_CPUS": str(spec.resources.cpus),
        "SM_NUM_GPUS": str(len(spec.resources.gpus)),
    }
    found |= dict.fromkeys(_THREAD_COUNTS, str(max(1, spec.resources.cpus)))
    if spec.peers:
        found["CLARY_HOST_ADDRESSES"] = json.dumps(spec.peers)
    return found | spec.environment


def working_folder(spec: HostSpec, folder: HostFolder) -> None:
    """Make sure that the working directory exists when it lies below /opt/ml."""
    if spec.cwd.startswith(f"{ML_ROOT}/"):
        (folder.ml / spec.cwd.removeprefix(f"{ML_ROOT}/")).mkdir(parents=True, exist_ok=True)
