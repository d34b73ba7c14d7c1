"""Keep numeric libraries to the host's share of the machine.

Two jobs on one machine that each start a thread per core run slower together than in turn.
"""

import importlib
import os
import sys

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "ARROW_NUM_THREADS")


def num_cpus() -> int:
    """The host's CPUs: SM_NUM_CPUS when the platform set it, else those that this process may run on."""
    given = os.environ.get("SM_NUM_CPUS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def num_gpus() -> int:
    given = os.environ.get("SM_NUM_GPUS", "")
    return int(given) if given.isdecimal() else 0


def pin() -> None:
    """Set the thread counts that the environment leaves open; also in libraries that a warm interpreter has loaded."""
    cpus = str(num_cpus())
    for variable in VARIABLES:
        os.environ.setdefault(variable, cpus)
    if "numpy" in sys.modules or "xgboost" in sys.modules:
        try:
            threadpoolctl = importlib.import_module("threadpoolctl")
        except ImportError:
            return
        threadpoolctl.threadpool_limits(int(os.environ["OMP_NUM_THREADS"].split(",")[0]))
