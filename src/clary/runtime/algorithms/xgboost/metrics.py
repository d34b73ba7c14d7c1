"""Evaluation metrics: the library's, and those that SageMaker adds to it.

SageMaker's come from a confusion matrix or from sums of squares, so that hosts add up theirs and the value is exact.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost
from xgboost import collective

Array = npt.NDArray[np.float64]

NATIVE = {
    "rmse", "rmsle", "mae", "mape", "mphe", "logloss", "error", "merror", "mlogloss", "auc", "aucpr", "pre", "ndcg",
    "map", "gamma-nloglik", "poisson-nloglik", "gamma-deviance", "tweedie-nloglik", "aft-nloglik", "cox-nloglik",
    "interval-regression-accuracy", "quantile",
}  # fmt: skip
NATIVE_MAXIMISED = {"auc", "aucpr", "pre", "ndcg", "map", "interval-regression-accuracy"}


def _ratio(above: Array, below: Array) -> Array:
    """Zero where the denominator is, as scikit-learn has it."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _accuracy(matrix: Array) -> float:
    return float(np.trace(matrix) / max(matrix.sum(), 1))


def _recalls(matrix: Array) -> Array:
    return _ratio(np.diag(matrix), matrix.sum(axis=1))


def _precisions(matrix: Array) -> Array:
    return _ratio(np.diag(matrix), matrix.sum(axis=0))


def _f1s(matrix: Array) -> Array:
    return _ratio(2 * np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1))


def _macro(per_class: Callable[[Array], Array]) -> Callable[[Array], float]:
    """The mean over the classes that occur, in labels or predictions."""

    def value(matrix: Array) -> float:
        present = (matrix.sum(axis=0) + matrix.sum(axis=1)) > 0
        return float(per_class(matrix)[present].mean()) if present.any() else 0.0

    return value


def _positive(per_class: Callable[[Array], Array]) -> Callable[[Array], float]:
    """The value of class 1."""
    return lambda matrix: float(per_class(matrix)[1])


def _balanced_accuracy(matrix: Array) -> float:
    present = matrix.sum(axis=1) > 0
    return float(_recalls(matrix)[present].mean()) if present.any() else 0.0


FROM_CONFUSION: dict[str, Callable[[Array], float]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _macro(_f1s),
    "f1_binary": _positive(_f1s),
    "f1_macro": _macro(_f1s),
    "precision": _positive(_precisions),
    "precision_macro": _macro(_precisions),
    "precision_micro": _accuracy,
    "recall": _positive(_recalls),
    "recall_macro": _macro(_recalls),
    "recall_micro": _accuracy,
}
FROM_SUMS = ("mse", "r2")
OWN = {*FROM_CONFUSION, *FROM_SUMS}
NAMES = sorted(NATIVE | OWN)


def is_known(name: str) -> bool:
    return name in OWN or name.partition("@")[0].rstrip("-") in NATIVE


def is_maximised(name: str) -> bool:
    base = name.partition("@")[0].rstrip("-")
    return name in FROM_CONFUSION or name == "r2" or base in NATIVE_MAXIMISED


def evaluator(
    names: list[str], objective: str
) -> Callable[[npt.NDArray[Any], xgboost.DMatrix], list[tuple[str, float]]]:
    """A custom metric for Booster.eval_set that computes `names` over all hosts' rows."""

    def evaluate(predictions: npt.NDArray[Any], rows: xgboost.DMatrix) -> list[tuple[str, float]]:
        labels = rows.get_label()
        values: dict[str, float] = {}
        if any(name in FROM_CONFUSION for name in names):
            matrix = _confusion(labels, _classes(predictions, objective))
            values |= {name: FROM_CONFUSION[name](matrix) for name in names if name in FROM_CONFUSION}
        if any(name in FROM_SUMS for name in names):
            values |= _from_sums(labels.astype(np.float64), predictions.astype(np.float64).reshape(len(labels), -1))
        return [(name, values[name]) for name in names]

    return evaluate


def _classes(predictions: npt.NDArray[Any], objective: str) -> npt.NDArray[np.int64]:
    if predictions.ndim == 2 and predictions.shape[1] > 1:
        return np.asarray(predictions.argmax(axis=1), dtype=np.int64)
    flat = predictions.reshape(-1)
    if objective == "multi:softmax":
        return flat.astype(np.int64)
    return (flat > (0.0 if objective == "binary:logitraw" else 0.5)).astype(np.int64)


def _confusion(labels: npt.NDArray[Any], predicted: npt.NDArray[np.int64]) -> Array:
    """Counts by (label, prediction), summed over hosts; at least 2 x 2."""
    true = labels.astype(np.int64)
    largest = np.array([max(true.max(initial=1), predicted.max(initial=1))], dtype=np.int64)
    classes = int(_over_hosts(largest, collective.Op.MAX)[0]) + 1
    counts = np.bincount(true * classes + predicted, minlength=classes * classes).astype(np.float64)
    return np.asarray(_over_hosts(counts, collective.Op.SUM)).reshape(classes, classes)


def _from_sums(labels: Array, predictions: Array) -> dict[str, float]:
    errors = labels - predictions[:, 0] if predictions.size else labels
    sums = np.array([len(labels), labels.sum(), (labels**2).sum(), (errors**2).sum()], dtype=np.float64)
    count, total, squares, squared_errors = _over_hosts(sums, collective.Op.SUM)
    spread = squares - total**2 / max(count, 1)
    return {
        "mse": float(squared_errors / max(count, 1)),
        "r2": float(1 - squared_errors / spread) if spread > 0 else 0.0,
    }


def _over_hosts(values: npt.NDArray[Any], operation: collective.Op) -> npt.NDArray[Any]:
    return collective.allreduce(values, operation) if collective.is_distributed() else values
