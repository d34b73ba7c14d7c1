"""Train XGBoost as SageMaker's built-in algorithm does; the entry points that `algorithms.load` promises.

The model is `/opt/ml/model/xgboost-model` in UBJSON, which `xgboost.Booster().load_model(path)` reads.
"""

import os
import re
from pathlib import Path

import xgboost

from clary.runtime.algorithms.xgboost import checkpoints, distributed
from clary.runtime.algorithms.xgboost.data import Shard, matrix, read_shard
from clary.runtime.algorithms.xgboost.parameters import Plan, plan
from clary.runtime.algorithms.xgboost.rounds import Rounds
from clary.runtime.algorithms.xgboost.schema import SCHEMA
from clary.runtime.algorithms.xgboost.serving import load_model
from clary.runtime.errors import CustomerError
from clary.runtime.paths import MlPaths
from clary.runtime.toolkit.description import TUNING_METRIC, JobDescription

__all__ = ["load_model", "train"]

MODEL = "xgboost-model"


def train(paths: MlPaths, job: JobDescription) -> None:
    """Train on this host's shard; the master host saves the model. Raises CustomerError."""
    given = {
        name: value
        for name, value in job.hyperparameters.items()
        if not name.startswith("sagemaker_") and name != TUNING_METRIC
    }
    chosen = plan(SCHEMA.parse(given), job.setting(TUNING_METRIC))
    xgboost.set_config(verbosity=chosen.booster["verbosity"])
    distributed.check(chosen, job)
    try:
        # Data is read inside, so that a host whose data is bad is missed by the others at once.
        with distributed.communicator(job):
            _train(paths, job, chosen, read_shard(paths, job, chosen.weighted_csv))
    except xgboost.core.XGBoostError as error:
        if len(job.hosts) > 1 and re.search(r"socket|EOF|collective", str(error), re.IGNORECASE):
            raise CustomerError(f"lost another host of this job; its own log says why ({reason(error)})") from error
        raise CustomerError(f"Customer Error: XGBoost refused: {reason(error)}") from error


def _train(paths: MlPaths, job: JobDescription, chosen: Plan, shard: Shard) -> None:
    directory = paths.checkpoints if paths.checkpoints.is_dir() else None
    checkpoint = checkpoints.newest(directory) if directory and job.is_master else None
    agreed = distributed.agree(job, shard, checkpoint)
    threads = chosen.booster["nthread"]
    validation = matrix(shard.validation, agreed.columns, threads, "validation") if shard.has_validation else None
    rounds = Rounds(
        chosen,
        matrix(shard.train, agreed.columns, threads, "train"),
        validation,
        prints=job.is_master,
        checkpoint_directory=directory,
    )
    booster = rounds.run(agreed.checkpoint)
    if job.is_master:
        save(booster, paths.model)


def save(booster: xgboost.Booster, directory: Path) -> None:
    """Write the model whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    unfinished = directory / f".{MODEL}.unfinished"
    unfinished.write_bytes(booster.save_raw("ubj"))
    os.replace(unfinished, directory / MODEL)
    print(f"saved the model of {booster.num_boosted_rounds()} rounds", flush=True)


def reason(error: Exception) -> str:
    """The library's message on one line, without its source location and C++ stack."""
    text = str(error).split("\nStack trace", 1)[0]
    return " ".join(re.sub(r"^\[[\d:]+\] \S+:\d+: ", "", text.strip()).split())
