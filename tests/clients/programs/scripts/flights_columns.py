"""A first container of several: takes rows with the label before the features, and leaves the label out."""

import numpy as np


def model_fn(model_dir):
    return slice(1, None)


def predict_fn(rows, columns):
    return np.atleast_2d(rows)[:, columns]


def output_fn(rows, accept):
    return "".join(",".join(map(repr, row)) + "\n" for row in rows.tolist()), "text/csv"
