"""What a processing job runs: part the flights into two sets, and say how many went where."""

import argparse
from pathlib import Path

import pandas
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser()
parser.add_argument("--share", type=float)
share = parser.parse_args().share

base = Path("/opt/ml/processing")
flights = pandas.read_csv(base / "input" / "flights" / "train.csv", header=None)
parts = train_test_split(flights, train_size=share, random_state=0)
for name, part in zip(("first", "second"), parts, strict=True):
    part.to_csv(base / name / "part.csv", header=False, index=False)
    print(name, len(part))
Path("/opt/ml/output/message").write_text(f"{len(flights)} flights")
