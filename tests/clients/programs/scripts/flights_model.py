"""A user's own script: trains a scikit-learn model, and serves it through the hooks of script mode."""

import argparse
import os

import joblib
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor


def train():
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-iter", type=int, default=10)
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
    parser.add_argument("--train", default=os.environ.get("SM_CHANNEL_TRAIN", "/opt/ml/input/data/train"))
    arguments, _ = parser.parse_known_args()
    files = sorted(os.listdir(arguments.train))
    rows = np.concatenate([np.loadtxt(os.path.join(arguments.train, name), delimiter=",") for name in files])
    model = HistGradientBoostingRegressor(max_iter=arguments.max_iter)
    model.fit(rows[:, 1:], rows[:, 0])
    print(f"trained on {len(rows)} rows; train-r2: {model.score(rows[:, 1:], rows[:, 0]):.4f}")
    joblib.dump(model, os.path.join(arguments.model_dir, "model.joblib"))


def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))


def predict_fn(rows, model):
    return model.predict(np.atleast_2d(rows))


if __name__ == "__main__":
    train()
