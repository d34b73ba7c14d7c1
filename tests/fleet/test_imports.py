"""What must stay light stays light, and the layers hold."""

import importlib
import importlib.util
import json
import pkgutil
import shutil
import subprocess
import sys

import pytest
from tests.fleet.repository import ROOT

from clary.kernel.rooms import Registry

HEAVY = frozenset(
    (
        "numpy",
        "pandas",
        "pyarrow",
        "scipy",
        "sklearn",
        "xgboost",
        "torch",
        "duckdb",
        "pyspark",
        "ray",
        "docker",
        "boto3",
    )
)

# Imports modules one after the other and says, for each, which heavy libraries came with it.
LOADER = """
import importlib, json, sys
heavy = set(sys.argv[1].split(","))
guilty = {}
for name in sys.argv[2].split(","):
    before = heavy & set(sys.modules)
    importlib.import_module(name)
    came = sorted(heavy & set(sys.modules) - before)
    if came:
        guilty[name] = came
print(json.dumps(guilty))
"""


def light_modules():
    """The kernel, the gateway, the server, the command line, and of each room what the gateway loads."""
    names = []
    for package in ("clary.kernel", "clary.gateway", "clary.server", "clary.cli"):
        names.append(package)
        found = pkgutil.walk_packages(importlib.import_module(package).__path__, package + ".")
        names += [each.name for each in found if "tests" not in each.name.split(".")]
    for room in Registry().rooms:
        names += [f"{room}.{part}" for part in ("records", "api") if importlib.util.find_spec(f"{room}.{part}")]
    return [name for name in names if not name.endswith("__main__") and ".sdk_plugin" not in name]


def test_light_modules_load_nothing_heavy():
    names = light_modules()
    loaded = subprocess.run(
        [sys.executable, "-c", LOADER, ",".join(HEAVY), ",".join(names)],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert json.loads(loaded.stdout) == {}


def test_importing_the_command_line_does_not_import_the_platform():
    program = "import clary.cli, sys; sys.exit(any(name.startswith('clary.kernel') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_layers_hold():
    program = shutil.which("lint-imports", path=f"{sys.prefix}/bin") or shutil.which("lint-imports")
    if program is None:
        pytest.skip("import-linter is not installed")
    checked = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
