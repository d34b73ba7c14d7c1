"""The model that every peer serves: an XGBoost model file, named by `MODEL`, asked one row at a time.

`inplace_predict` with one thread is the fastest way that xgboost itself has for a row; all peers but MLServer, whose
own runtime calls the scikit-learn interface, ask it in this way.
"""

import os

import numpy
import xgboost


def scorer():
    """A function from a row of CSV, as bytes or text, to the score as text."""
    booster = xgboost.Booster(model_file=os.environ["MODEL"])
    booster.set_param({"nthread": 1})

    def score(row):
        features = numpy.array([float(part) for part in row.split(b"," if isinstance(row, bytes) else ",")], "float32")
        return str(float(booster.inplace_predict(features.reshape(1, -1))[0]))

    return score
