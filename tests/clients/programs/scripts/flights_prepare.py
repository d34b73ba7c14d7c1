"""Split flights into what trains, what validates and what judges the model."""

import argparse
from pathlib import Path

import pandas as pd

parser = argparse.ArgumentParser()
parser.add_argument("--held-out", type=float, default=0.2)
held_out = parser.parse_args().held_out
base = Path("/opt/ml/processing")

flights = pd.concat([pd.read_csv(file, header=None) for file in sorted((base / "input").glob("*.csv"))])
flights = flights.sample(frac=1, random_state=7)
share = int(len(flights) * held_out / 2)
parts = {"validation": flights[:share], "test": flights[share : 2 * share], "train": flights[2 * share :]}
for name, part in parts.items():
    (base / name).mkdir(parents=True, exist_ok=True)
    part.to_csv(base / name / f"{name}.csv", header=False, index=False)
(base / "batch").mkdir(exist_ok=True)
parts["test"].drop(columns=0).to_csv(base / "batch" / "rows.csv", header=False, index=False)
