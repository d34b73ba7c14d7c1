"""Serve an XGBoost model."""
from pathlib import Path
from typing import Any

def load_model(directory: Path) -> Any:
    raise NotImplementedError
