"""`python -m benchmarks [NAME ...] [--seconds S]`: run all benchmarks, or those named; S seconds for each round."""

import argparse
import importlib
import platform
import signal
import sys

import psutil

NAMES = (
    "gateway",
    "gateway_alone",
    "s3",
    "kinesis",
    "features",
    "streams",
    "router",
    "serving",
    "streaming",
    "training",
    "batch_transform",
    "pipelines",
    "firehose",
    "athena",
    "soak",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each round lasts (default: 2)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    memory = psutil.virtual_memory().total / 1024**3
    print(f"{psutil.cpu_count()} CPUs, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}")
    print(f"load before the start: {psutil.getloadavg()[0]:.1f}")
    for name in options.names or NAMES:
        importlib.import_module(f"benchmarks.{name}").run(options.seconds)


if __name__ == "__main__":
    main()
