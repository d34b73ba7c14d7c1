"""Checkpoints of a training run: one file a round, the newest few kept, resumed from the newest."""

import os
import re
from pathlib import Path

import xgboost

PREFIX = "xgboost-checkpoint"
KEPT = 5


def save(directory: Path, booster: xgboost.Booster, rounds_done: int) -> None:
    """Write the state after `rounds_done` rounds. A reader, such as an upload, sees it whole or not at all."""
    unfinished = directory / f".{PREFIX}.unfinished"
    with unfinished.open("wb") as file:
        file.write(booster.save_raw("ubj"))
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(directory / f"{PREFIX}.{rounds_done}")
    for _, old in _found(directory)[:-KEPT]:
        old.unlink(missing_ok=True)


def newest(directory: Path) -> bytes | None:
    """The newest checkpoint that is a model; a damaged one is passed over for the one before it."""
    for _, path in reversed(_found(directory)):
        content = path.read_bytes()
        try:
            xgboost.Booster().load_model(bytearray(content))
        except xgboost.core.XGBoostError:
            print(f"checkpoint {path.name} is damaged; trying the one before it", flush=True)
            continue
        return content
    return None


def _found(directory: Path) -> list[tuple[int, Path]]:
    """(rounds done, file), oldest first."""
    if not directory.is_dir():
        return []
    matches = ((re.fullmatch(rf"{PREFIX}\.(\d+)", path.name), path) for path in directory.iterdir())
    return sorted((int(match[1]), path) for match, path in matches if match)
