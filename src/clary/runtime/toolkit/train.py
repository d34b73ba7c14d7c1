"""`train`: run the job that /opt/ml describes."""

import io
import os
import sys
import traceback
import warnings

from clary.runtime import failure, threads
from clary.runtime.errors import CustomerError
from clary.runtime.paths import MlPaths, ml_paths
from clary.runtime.toolkit import userscript
from clary.runtime.toolkit.description import JobDescription, read_description
from clary.runtime.toolkit.environment import training_environment, user_arguments
from clary.runtime.toolkit.requirements import use_requirements
from clary.runtime.toolkit.source import training_source

# SDK settings that ask for a launcher that this toolkit does not have.
LAUNCHERS = (
    "sagemaker_mpi_enabled",
    "sagemaker_parameter_server_enabled",
    "sagemaker_multi_worker_mirrored_strategy_enabled",
    "sagemaker_distributed_dataparallel_enabled",
    "sagemaker_pytorch_ddp_enabled",
    "sagemaker_pytorch_xla_multi_worker_enabled",
    "sagemaker_torch_distributed_enabled",
)


def train() -> int:
    """Run the user's script, or the built-in algorithm when there is none; return the exit code."""
    paths = ml_paths()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    threads.pin()
    try:
        job = read_description(paths)
        program = job.setting("sagemaker_program")
        return _script(paths, job, program) if program else _algorithm(paths, job)
    except CustomerError as error:
        print(error, file=sys.stderr, flush=True)
        failure.record(paths, failure.describe(error))
    except Exception as error:
        traceback.print_exc()
        failure.record(paths, failure.describe(error))
    return 1


def _script(paths: MlPaths, job: JobDescription, program: str) -> int:
    for launcher in LAUNCHERS:
        if str(job.framework_parameters.get(launcher, "")).lower() == "true":
            raise CustomerError(
                f"{launcher} is true, but this image has no such launcher; start the processes in the script"
            )
    submit_directory = job.setting("sagemaker_submit_directory")
    source = training_source(paths, program, submit_directory)
    for directory in (paths.model, paths.output_data, paths.output_intermediate):
        directory.mkdir(parents=True, exist_ok=True)
    environment = training_environment(paths, job, program, submit_directory or str(source))
    os.environ.update(environment)
    use_requirements(source, "train")
    return userscript.run(paths, source, program, user_arguments(job.user_hyperparameters))


def _algorithm(paths: MlPaths, job: JobDescription) -> int:
    from clary.runtime import algorithms

    name = os.environ.get("CLARY_ALGORITHM")
    if not name:
        raise CustomerError(
            "nothing to run: the hyperparameters name no sagemaker_program and this image has no built-in algorithm"
        )
    # The library says its warnings through Python's; in a job's log the sentence is enough.
    warnings.formatwarning = lambda message, *_, **__: f"{message}\n"
    algorithms.load(name).train(paths, job)
    return 0
