"""Write XGBoost's predictions in the formats that SageMaker's algorithm answers with."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clary.runtime.errors import CustomerError
from clary.runtime.formats import content_types
from clary.runtime.inference.contract import Refused, Reply

CSV = "text/csv; charset=utf-8"
ACCEPTED = (content_types.CSV, content_types.JSON, content_types.JSONLINES, content_types.RECORDIO)
MARGINS = ("raw_score", "raw_scores")
SELECTABLE = ("predicted_label", "labels", "probability", "probabilities", *MARGINS, "predicted_score")


def selection(text: str) -> list[str]:
    """SAGEMAKER_INFERENCE_OUTPUT as a list. Raises CustomerError for a key that does not exist."""
    keys = [key.strip() for key in text.split(",") if key.strip()]
    wrong = [key for key in keys if key not in SELECTABLE]
    if wrong:
        raise CustomerError(f"SAGEMAKER_INFERENCE_OUTPUT names {wrong[0]!r}; valid are {', '.join(SELECTABLE)}")
    return keys


def negotiate(accept: str) -> str:
    """The first acceptable type of the Accept header; CSV when anything will do. Raises Refused (406)."""
    if not accept:
        return content_types.CSV
    for part in accept.split(","):
        name = part.partition(";")[0].strip()
        if name in ("*/*", "text/*"):
            return content_types.CSV
        canonical = content_types.canonical(name)
        if canonical in ACCEPTED:
            return canonical
    raise Refused(406, f"Accept {accept!r} is not supported; use one of {', '.join(ACCEPTED)}")


def line(values: Sequence[float]) -> bytes:
    """One row's values as a line of CSV."""
    if len(values) == 1:
        return b"%r\n" % values[0]
    return (",".join(map(repr, values)) + "\n").encode()


@dataclass(frozen=True)
class Writer:
    """Knows the model's task, and so what its numbers mean."""

    objective: str
    classes: int
    selected: Sequence[str] = ()

    @property
    def needs_margins(self) -> bool:
        return any(key in MARGINS for key in self.selected)

    def write(self, predictions: Any, accept: str, margins: Any = None) -> Reply:
        """The reply for all rows. `margins` are the untransformed scores, when `needs_margins`."""
        if accept == content_types.CSV and not self.selected:
            return Reply(_scores(predictions.tolist()), CSV)
        if self.selected:
            rows = [
                self._selected(row, margin)
                for row, margin in zip(predictions, self._each(margins, predictions), strict=True)
            ]
        else:
            rows = [{"score": value} for value in predictions.tolist()]
        if accept == content_types.CSV:
            return Reply(b"".join(_csv(row) for row in rows), CSV)
        if accept == content_types.JSON:
            return Reply(json.dumps({"predictions": rows}).encode(), content_types.JSON)
        if accept == content_types.JSONLINES:
            return Reply("".join(json.dumps(row) + "\n" for row in rows).encode(), content_types.JSONLINES)
        from clary.runtime.formats.recordio import encode_labels

        return Reply(encode_labels(rows), content_types.RECORDIO)

    @staticmethod
    def _each(margins: Any, predictions: Any) -> Any:
        return margins if margins is not None else [None] * len(predictions)

    def _selected(self, prediction: Any, margin: Any) -> dict[str, Any]:
        """The chosen keys in the chosen order. Raises Refused when the model's task has no such thing."""
        available = self._everything(np.atleast_1d(prediction), None if margin is None else np.atleast_1d(margin))
        missing = [key for key in self.selected if key not in available]
        if missing:
            raise Refused(
                400, f"SAGEMAKER_INFERENCE_OUTPUT asks for {missing[0]!r}, which {self.objective} does not give"
            )
        return {key: available[key] for key in self.selected}

    def _everything(self, prediction: Any, margin: Any) -> dict[str, Any]:
        if self.objective.startswith("binary:"):
            return self._binary(float(prediction[0]), margin)
        if self.objective.startswith("multi:"):
            return self._multiclass(prediction, margin)
        return {"predicted_score": float(prediction[0])}

    def _binary(self, value: float, margin: Any) -> dict[str, Any]:
        logits = self.objective == "binary:logitraw"
        found: dict[str, Any] = {"predicted_label": int(value > (0 if logits else 0.5)), "labels": [0, 1]}
        if self.objective == "binary:logistic":
            found |= {"probability": value, "probabilities": [1 - value, value]}
        if margin is not None:
            found |= {"raw_score": float(margin[0]), "raw_scores": [-float(margin[0]), float(margin[0])]}
        return found

    def _multiclass(self, prediction: Any, margin: Any) -> dict[str, Any]:
        labels = list(range(self.classes))
        if len(prediction) == 1:
            found: dict[str, Any] = {"predicted_label": int(prediction[0]), "labels": labels}
        else:
            best = int(prediction.argmax())
            found = {"predicted_label": best, "labels": labels, "probability": float(prediction[best])}
            found["probabilities"] = prediction.tolist()
        if margin is not None:
            found |= {"raw_score": float(margin.max()), "raw_scores": margin.tolist()}
        return found


def _scores(rows: list[Any]) -> bytes:
    """A line for each row: `line` for all at once, which is most of the work where rows are many."""
    if rows and isinstance(rows[0], list):
        return b"".join(map(line, rows))
    return "".join([f"{row!r}\n" for row in rows]).encode()


def _csv(row: dict[str, Any]) -> bytes:
    """Selected values; lists among them stay together as quoted JSON."""
    fields = (f'"{json.dumps(value)}"' if isinstance(value, list) else str(value) for value in row.values())
    return (",".join(fields) + "\n").encode()
