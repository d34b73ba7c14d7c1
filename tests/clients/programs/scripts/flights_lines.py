"""The same model behind JSON Lines: a line in is an array of features, a line out the minutes and who says so."""

import json

import numpy as np
from flights_model import model_fn, predict_fn

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]


def input_fn(body, content_type):
    if content_type != "application/jsonlines":
        raise ValueError(f"cannot read {content_type}")
    return np.array([json.loads(line) for line in body.splitlines()], dtype=float)


def output_fn(predicted, accept):
    return "".join(json.dumps({"minutes": minutes, "by": "flights"}) + "\n" for minutes in predicted.tolist()), accept
