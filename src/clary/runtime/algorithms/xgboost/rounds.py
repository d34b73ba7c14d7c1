"""The boosting rounds: update, evaluate, print, checkpoint, stop early or when asked."""

import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from xgboost import collective

from clary.runtime.algorithms.xgboost import checkpoints, metrics
from clary.runtime.algorithms.xgboost.parameters import Plan

BEST_SCORE = "best_score"
BEST_ROUND = "best_iteration"


@dataclass
class Rounds:
    """A training run over `train` (and `validation`). `prints` is true on the one host that speaks and saves."""

    plan: Plan
    train: xgboost.DMatrix
    validation: xgboost.DMatrix | None
    prints: bool = True
    checkpoint_directory: Path | None = None

    def run(self, checkpoint: bytes | None = None) -> xgboost.Booster:
        """Train from `checkpoint`, or from nothing, to num_round, the early stop or SIGTERM; return the model to keep.

        After an early stop that is the best round's model, as SageMaker hosts it.
        """
        stopping = stop_event() if self.plan.save_on_termination else threading.Event()
        watched = [(self.train, "train")]
        if self.validation is not None:
            watched.append((self.validation, "validation"))
        booster = xgboost.Booster(
            self.plan.booster,
            [rows for rows, _ in watched],
            model_file=bytearray(checkpoint) if checkpoint else None,
        )
        evaluate = self._evaluator()
        first = self._rounds_done(booster) if checkpoint else 0
        if first and self.prints:
            print(f"resuming after round {first - 1} from a checkpoint", flush=True)
        for number in range(first, self.plan.num_round):
            booster.update(self.train, number)
            line = booster.eval_set(watched, number, evaluate, output_margin=False)
            scores = parse(line)
            if self.prints:
                print(shown(number, scores), flush=True)
            enough = self._early_stop(booster, number, scores)
            booster.set_attr(rounds=str(number + 1))
            if self.checkpoint_directory is not None and self.prints:
                checkpoints.save(self.checkpoint_directory, booster, number + 1)
            if enough:
                break
            if anywhere(stopping.is_set()):
                if self.prints:
                    print(f"asked to stop: keeping the model of round {number}", flush=True)
                break
        return self._best(booster)

    def _rounds_done(self, booster: xgboost.Booster) -> int:
        return int(booster.attr("rounds") or booster.num_boosted_rounds())

    def _evaluator(self) -> Any:
        own = self.plan.own_metrics
        return metrics.evaluator(own, self.plan.booster["objective"]) if own else None

    def _early_stop(self, booster: xgboost.Booster, number: int, scores: dict[str, float]) -> bool:
        """Note the best round on the booster, so that a checkpoint carries it; say whether patience is at its end."""
        if not self.plan.early_stopping_rounds or not scores:
            return False
        data = "validation" if self.validation is not None else "train"
        last = next(reversed([key for key in scores if key.startswith(f"{data}-")]))
        key = f"{data}-{self.plan.metrics[-1]}" if self.plan.metrics else last
        score = scores.get(key, scores[last])
        sign = -1 if metrics.is_maximised(key.removeprefix(f"{data}-")) else 1
        best = booster.attr(BEST_SCORE)
        if best is None or sign * score < sign * float(best):
            booster.set_attr(**{BEST_SCORE: repr(score), BEST_ROUND: str(number)})
            return False
        if number - int(booster.attr(BEST_ROUND) or 0) < self.plan.early_stopping_rounds:
            return False
        if self.prints:
            print(f"stopping early: {key} was best in round {booster.attr(BEST_ROUND)} with {best}", flush=True)
        return True

    def _best(self, booster: xgboost.Booster) -> xgboost.Booster:
        best = booster.attr(BEST_ROUND)
        if best is None or self.plan.booster.get("booster") == "gblinear":
            return booster
        kept: xgboost.Booster = booster[: int(best) + 1]
        return kept


def parse(line: str) -> dict[str, float]:
    """The library's `[0]<TAB>train-rmse:0.5<TAB>...` as {"train-rmse": 0.5}."""
    pairs = (part.rpartition(":") for part in line.split("\t")[1:])
    return {name: float(value) for name, _, value in pairs}


def shown(number: int, scores: dict[str, float]) -> str:
    """The line that metric definitions match: five decimals, tabs between."""
    return "\t".join([f"[{number}]", *(f"{name}:{value:.5f}" for name, value in scores.items())])


def stop_event() -> threading.Event:
    """An event that SIGTERM sets, so that the round in progress ends and the model is saved."""
    event = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: event.set())
    return event


def anywhere(condition: bool) -> bool:
    """Whether `condition` holds on any host; all must stop after the same round."""
    if not collective.is_distributed():
        return condition
    return bool(collective.allreduce(np.array([int(condition)], dtype=np.int32), collective.Op.MAX)[0])
