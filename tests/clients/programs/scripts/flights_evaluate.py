"""Judge a model of the built-in XGBoost by flights that it has not seen, and write the report that a gate reads."""

import json
import tarfile
from pathlib import Path

import pandas as pd
import xgboost

base = Path("/opt/ml/processing")
with tarfile.open(base / "model" / "model.tar.gz") as archive:
    archive.extractall(base / "model", filter="data")
model = xgboost.Booster(model_file=str(base / "model" / "xgboost-model"))
flights = pd.read_csv(base / "test" / "test.csv", header=None)

errors = flights[0].to_numpy() - model.predict(xgboost.DMatrix(flights.drop(columns=0).to_numpy()))
mse = {"value": float((errors**2).mean()), "standard_deviation": float(errors.std())}
report = {"regression_metrics": {"mse": mse}}
(base / "evaluation" / "evaluation.json").write_text(json.dumps(report))
print(f"the mean squared error over {len(flights)} flights is {mse['value']:.1f}")
