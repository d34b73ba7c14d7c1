"""Choose the command. Each is imported only when asked for, so that every start is fast."""

import sys

USAGE = (
    "usage: python -m clary.runtime train | serve | transform | function | script FILE [ARGUMENT...] | "
    "run COMMAND... | notebook | spark-submit [OPTION...] APPLICATION [ARGUMENT...] | "
    "warm [--preload MODULE,...] [FIFO]"
)


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    command = argv[0] if argv else ""
    if command == "train":
        from clary.runtime.toolkit.train import train

        return train()
    if command == "serve":
        from clary.runtime.inference.server import serve

        return serve()
    if command == "serve-model":
        from clary.runtime.inference.model_process import serve_model

        return serve_model(int(argv[1]), argv[2])
    if command == "transform":
        from clary.runtime.transform.driver import transform

        return transform()
    if command == "function":
        from clary.runtime.functions.server import serve_function

        return serve_function()
    if command == "script" and len(argv) > 1:
        from clary.runtime.toolkit.script import script

        return script(argv[1], argv[2:])
    if command == "run" and len(argv) > 1:
        from clary.runtime.commands.run import run

        return run(argv[1:])
    if command == "notebook":
        from clary.runtime.commands.notebook import execute, run_notebook

        return execute() if argv[1:] == ["execute"] else run_notebook()
    if command == "spark-submit":
        from clary.runtime.spark.submit import spark_submit

        return spark_submit(argv[1:])
    if command == "warm":
        from clary.runtime.warm import warm

        return warm(argv[1:])
    print(USAGE, file=sys.stderr)
    return 2
