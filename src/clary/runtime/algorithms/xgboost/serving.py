"""Answer requests with an XGBoost model.

One row of CSV, the common request, is scored on the event loop, by the trees as machine code where that is proven
equal (`compiled`), else through the library's C interface with a buffer and descriptors made once: a quarter of the CPU
of inplace_predict, same function underneath. Either way the result is the same to the bit.
"""

import ctypes
import json
import os
import pickle
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from clary.runtime.algorithms.xgboost import outputs
from clary.runtime.algorithms.xgboost.compiled import compiled
from clary.runtime.errors import CustomerError
from clary.runtime.formats import content_types
from clary.runtime.formats.decode import decode_table
from clary.runtime.formats.table import Table
from clary.runtime.inference import joining
from clary.runtime.inference.contract import Refused, Reply, Request
from clary.runtime.threads import num_cpus

SUPPORTED = (content_types.CSV, content_types.LIBSVM, content_types.RECORDIO, content_types.PARQUET)
QUICK_BYTES = 16 * 1024
NOTHING = Reply(b"", outputs.CSV, 204)


def load_model(directory: Path) -> "XgboostModel":
    """The model in `directory`: SageMaker's `xgboost-model`, or the only file there. Raises CustomerError."""
    return XgboostModel(load_booster(directory))


def load_booster(directory: Path) -> xgboost.Booster:
    """Read a Booster in any of the library's formats, or pickled, as SageMaker's early versions saved it."""
    files = [path for path in sorted(directory.glob("*")) if path.is_file() and not path.name.startswith(".")]
    chosen = next(
        (path for path in files if path.name.startswith("xgboost-model")), files[0] if len(files) == 1 else None
    )
    if chosen is None:
        held = ", ".join(path.name for path in files) or "no file"
        raise CustomerError(f"{directory} holds no XGBoost model (a file named xgboost-model); it holds {held}")
    content = chosen.read_bytes()
    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(content))
    except xgboost.core.XGBoostError as refused:
        booster = _unpickled(content, chosen, refused)
    booster.set_param({"nthread": num_cpus()})
    return booster


def _unpickled(content: bytes, path: Path, refused: Exception) -> xgboost.Booster:
    """The model is the endpoint owner's own code and data, and this process is sandboxed, so a pickle may run."""
    try:
        loaded = pickle.loads(content)
    except Exception:
        reason = " ".join(str(refused).split("\nStack trace", 1)[0].split())
        raise CustomerError(
            f"{path.name} is neither a model that XGBoost {xgboost.__version__} reads nor a pickle: {reason}"
        ) from None
    booster = loaded.get_booster() if hasattr(loaded, "get_booster") else loaded
    if not isinstance(booster, xgboost.Booster):
        raise CustomerError(f"{path.name} is a pickled {type(loaded).__name__}, not an XGBoost model")
    return booster


class XgboostModel:
    """A Booster behind /invocations. Predictions on one Booster may run in several threads."""

    def __init__(self, booster: xgboost.Booster) -> None:
        config = json.loads(booster.save_config())["learner"]
        self._booster = booster
        self._columns = booster.num_features()
        self._rounds = _rounds_used(booster)
        # Predicting in place is not for linear models, and gives dart's sums in another order than Booster.predict.
        self._by_matrix = config["gradient_booster"]["name"] in ("gblinear", "dart")
        self._writer = outputs.Writer(
            objective=config["objective"]["name"],
            classes=int(config["learner_model_param"]["num_class"]),
            selected=outputs.selection(os.environ.get("SAGEMAKER_INFERENCE_OUTPUT", "")),
        )
        scores_rows = not (self._by_matrix or self._writer.selected)
        self._trees = compiled(booster, self._columns, self._rounds) if scores_rows else None
        self._row = SingleRow(booster, self._columns, self._rounds) if scores_rows else None

    @property
    def threads(self) -> int:
        return num_cpus()

    def quick(self, body: bytes, content_type: bytes, accept: bytes) -> Reply | None:
        """One complete row of CSV in, CSV out."""
        if (
            self._row is None
            or len(body) > QUICK_BYTES
            or not (content_type.startswith(b"text/csv") or not content_type)
        ):
            return None
        if (accept and not accept.startswith(b"text/csv")) or b"_" in body:
            return None
        try:
            values = [float(field) for field in body.split(b",")]
        except ValueError:
            # a missing value, a second line, another delimiter, or no number at all
            return None
        if len(values) != self._columns:
            return None
        if self._trees is None:
            return Reply(self._row.score(values), outputs.CSV)
        return Reply(outputs.line(self._trees.predict(values)), outputs.CSV)

    def invoke(self, request: Request) -> Reply:
        if not request.body:
            return NOTHING
        features = self._read(request)
        return self._write(self._scores(features), features, request)

    def invoke_joined(self, requests: list[Request]) -> list[Reply | Exception]:
        outcomes = iter(joining.answer([one for one in requests if one.body], self._read, self._scores, self._write))
        return [next(outcomes) if one.body else NOTHING for one in requests]

    def predict(self, table: Table) -> Any:
        """Predictions for all rows, as Booster.predict gives them."""
        return self._scores(table.features)

    def _read(self, request: Request) -> Any:
        """The features: a matrix, sparse or dense. Raises what is wrong with the request."""
        content_type = content_types.canonical(request.content_type or content_types.CSV)
        if content_type not in SUPPORTED:
            raise Refused(
                415, f"ContentType {request.content_type!r} is not supported; use one of {', '.join(SUPPORTED)}"
            )
        outputs.negotiate(request.accept)
        return self._fitting(decode_table(content_type, request.body, labelled=False)).features

    def _scores(self, features: Any) -> Any:
        if self._by_matrix or not isinstance(features, np.ndarray):
            rows = xgboost.DMatrix(features, nthread=num_cpus())
            return self._booster.predict(rows, iteration_range=(0, self._rounds), validate_features=False)
        return self._booster.inplace_predict(
            np.ascontiguousarray(features), iteration_range=(0, self._rounds), validate_features=False
        )

    def _write(self, scores: Any, features: Any, request: Request) -> Reply:
        return self._writer.write(scores, outputs.negotiate(request.accept), self._margins(features))

    def _margins(self, features: Any) -> Any:
        if not self._writer.needs_margins:
            return None
        rows = xgboost.DMatrix(features, nthread=num_cpus())
        return self._booster.predict(
            rows, output_margin=True, iteration_range=(0, self._rounds), validate_features=False
        )

    def _fitting(self, table: Table) -> Table:
        """Sparse rows may name fewer features than the model has; dense rows must have just as many."""
        if table.columns < self._columns:
            table.widened(self._columns)
        if table.columns != self._columns:
            raise Refused(
                400, f"the request has {table.columns} features in a row, but the model was trained on {self._columns}"
            )
        return table


class SingleRow:
    """Scores one dense row, in one thread."""

    def __init__(self, booster: xgboost.Booster, columns: int, rounds: int) -> None:
        self._booster = booster  # keeps the handle alive
        self._buffer = np.empty((1, columns), dtype=np.float32)
        library = xgboost.core._LIB
        self._call = library.XGBoosterPredictFromDense
        # Made once: the library would make and drop such a holder of the row in each call, for half of its time.
        holder = ctypes.c_void_p()
        library.XGProxyDMatrixCreate(ctypes.byref(holder))
        weakref.finalize(self, library.XGDMatrixFree, holder)
        self._shape = ctypes.POINTER(ctypes.c_uint64)()
        self._dimensions = ctypes.c_uint64()
        self._result = ctypes.POINTER(ctypes.c_float)()
        rows = {
            "data": [self._buffer.ctypes.data, False],
            "shape": [1, columns],
            "typestr": "<f4",
            "version": 3,
            "strides": None,
        }
        how = {
            "type": 0,
            "training": False,
            "iteration_begin": 0,
            "iteration_end": rounds,
            "missing": float("nan"),
            "strict_shape": True,
            "cache_id": 0,
        }
        self._arguments = (
            booster.handle,
            json.dumps(rows).encode(),
            json.dumps(how).encode(),
            holder,
            ctypes.byref(self._shape),
            ctypes.byref(self._dimensions),
            ctypes.byref(self._result),
        )

    def score(self, values: list[float]) -> bytes:
        """The row's prediction as a line of CSV."""
        self._buffer[0] = values
        if self._call(*self._arguments) != 0:
            raise xgboost.core.XGBoostError(xgboost.core._LIB.XGBGetLastError().decode())
        count = 1
        for dimension in range(self._dimensions.value):
            count *= self._shape[dimension]
        return outputs.line(self._result[:count])


def _rounds_used(booster: xgboost.Booster) -> int:
    """All rounds, or those up to the best when training noted one after an early stop (0 would also mean all)."""
    best = booster.attr("best_iteration")
    rounds = int(booster.num_boosted_rounds())
    return min(int(best) + 1, rounds) if best is not None and rounds else 0
