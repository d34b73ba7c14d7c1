"""From SageMaker's hyperparameters to what the library takes."""

import math
from dataclasses import dataclass, field
from typing import Any

import xgboost

from clary.runtime.algorithms.xgboost import metrics
from clary.runtime.errors import CustomerError
from clary.runtime.threads import num_cpus, num_gpus

# Handled by this package, not by the library.
OWN = {
    "num_round",
    "csv_weights",
    "early_stopping_rounds",
    "save_model_on_termination",
    "use_dask_gpu_training",
    "eval_metric",
    "sketch_eps",
    "process_type",
}
MULTICLASS = ("multi:softmax", "multi:softprob")


@dataclass(frozen=True)
class Plan:
    """One training run: `booster` goes to the library, the rest steers the rounds."""

    booster: dict[str, Any]
    num_round: int
    metrics: list[str] = field(default_factory=list)
    early_stopping_rounds: int | None = None
    weighted_csv: bool = False
    save_on_termination: bool = False

    @property
    def own_metrics(self) -> list[str]:
        return [name for name in self.metrics if name in metrics.OWN]


def plan(values: dict[str, Any], tuning_objective: str | None = None) -> Plan:
    """Check how the hyperparameters go together and translate them. Raises CustomerError.

    `tuning_objective` is the tuning job's metric (`validation:f1`); it is computed even when eval_metric omits it.
    """
    booster = {name: value for name, value in values.items() if name not in OWN}
    booster.setdefault("objective", "reg:squarederror")
    if booster["objective"] == "reg:linear":
        print("objective reg:linear is the old name of reg:squarederror", flush=True)
        booster["objective"] = "reg:squarederror"
    _check_classes(booster)
    if values.get("process_type") == "update":
        raise CustomerError(
            "Customer Error: process_type is 'update', which needs a trained model to start from; use 'default'"
        )
    if values.get("use_dask_gpu_training"):
        raise CustomerError(
            "Customer Error: use_dask_gpu_training is set, but distributed GPU training is not available; leave it out"
        )
    _choose_device(booster)
    _translate_lists(booster)
    if "sketch_eps" in values and "max_bin" not in booster:
        # The library replaced sketch_eps by the number of bins, which was about its inverse.
        booster["max_bin"] = max(2, math.ceil(1 / values["sketch_eps"]))
        print(f"sketch_eps={values['sketch_eps']} becomes max_bin={booster['max_bin']}", flush=True)
    booster.setdefault("nthread", num_cpus())
    booster.setdefault("verbosity", 1)

    chosen = _metrics(list(values.get("eval_metric", [])), tuning_objective)
    native = [name for name in chosen if name not in metrics.OWN]
    if native:
        booster["eval_metric"] = native
    elif chosen:
        booster["disable_default_eval_metric"] = 1
    return Plan(
        booster=booster,
        num_round=values["num_round"],
        metrics=chosen,
        early_stopping_rounds=values.get("early_stopping_rounds"),
        weighted_csv=bool(values.get("csv_weights")),
        save_on_termination=bool(values.get("save_model_on_termination")),
    )


def _check_classes(booster: dict[str, Any]) -> None:
    objective = booster["objective"]
    if objective in MULTICLASS and booster.get("num_class", 0) < 2:
        raise CustomerError(f"Customer Error: objective {objective} needs num_class, the number of classes, at least 2")
    if objective not in MULTICLASS and "num_class" in booster:
        raise CustomerError(
            f"Customer Error: num_class is only for {' and '.join(MULTICLASS)}, but objective is {objective}"
        )


def _choose_device(booster: dict[str, Any]) -> None:
    """`gpu_hist` is how SageMaker asks for the GPU; the library now says tree_method=hist, device=cuda."""
    if booster.get("tree_method") != "gpu_hist" and booster.get("device") != "cuda":
        return
    asked = "tree_method=gpu_hist" if booster.get("tree_method") == "gpu_hist" else "device=cuda"
    if num_gpus() < 1 or not xgboost.build_info().get("USE_CUDA"):
        lack = "this host has no GPU" if num_gpus() < 1 else "the installed XGBoost is built without CUDA"
        raise CustomerError(f"Customer Error: {asked} needs a GPU, but {lack}; use tree_method=hist")
    booster["tree_method"] = "hist"
    booster["device"] = "cuda"


def _translate_lists(booster: dict[str, Any]) -> None:
    if "updater" in booster:
        booster["updater"] = ",".join(booster["updater"])
    if "monotone_constraints" in booster:
        booster["monotone_constraints"] = "(" + ",".join(map(str, booster["monotone_constraints"])) + ")"
    if "interaction_constraints" in booster:
        booster["interaction_constraints"] = str(booster["interaction_constraints"])


def _metrics(chosen: list[str], tuning_objective: str | None) -> list[str]:
    objective = (tuning_objective or "").rpartition(":")[2]
    if objective and objective not in chosen and metrics.is_known(objective):
        chosen.insert(0, objective)
    for name in chosen:
        if not metrics.is_known(name):
            raise CustomerError(
                f"Customer Error: eval_metric {name!r} is unknown; valid are {', '.join(metrics.NAMES)}"
            )
    return chosen
