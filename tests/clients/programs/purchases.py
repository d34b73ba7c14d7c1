"""Purchases and the levels of the customers who made them, as frames; and what belongs together at the time of each."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pandas

PAUSE = threading.Event()
# Each customer's purchases and levels, by minutes since the first.
PURCHASES = [("c1", 10, 5.5), ("c1", 30, 7.25), ("c2", 20, 1.0), ("c3", 25, 9.5), ("c4", 26, 3.0)]
LEVELS = [("c1", 5, "bronze", 1), ("c1", 20, "silver", 2), ("c1", 40, "gold", 3), ("c2", 1, "bronze", 1)]
LEVELS += [("c3", 24, "silver", 2)]
DELETED = ("c3", 60)
Moment = Callable[[int], Any]


def purchases(moment: Moment) -> pandas.DataFrame:
    """A row for each purchase; `moment` makes an event time of a number of minutes."""
    rows = [(customer, moment(minute), amount) for customer, minute, amount in PURCHASES]
    return typed(pandas.DataFrame(rows, columns=["customer", "bought_at", "amount"]))


def levels(moment: Moment) -> pandas.DataFrame:
    """A row for each level that a customer reached."""
    rows = [(customer, moment(minute), level, rank) for customer, minute, level, rank in LEVELS]
    return typed(pandas.DataFrame(rows, columns=["customer", "since", "level", "rank"]))


def typed(frame: pandas.DataFrame) -> pandas.DataFrame:
    """The frame with texts as what the SDKs take for texts."""
    texts = {name: "string" for name in frame if frame[name].map(type).eq(str).all()}
    return frame.astype(texts)


def wait_for_rows(count: Callable[[], int], rows: int, seconds: float = 300.0) -> int:
    """Ask for the number of rows until there are so many; return how many there are."""
    deadline = time.monotonic() + seconds
    while (found := count()) < rows and time.monotonic() < deadline:
        PAUSE.wait(1.0)
    return found
