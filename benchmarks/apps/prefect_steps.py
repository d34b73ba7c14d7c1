"""Flows of steps that do nothing, as Prefect's documentation writes them: `python prefect_steps.py fan|chain COUNT`.

The state is in the home's SQLite database. Prints the seconds of a second run: the first creates the database.
"""

import sys
import time

from prefect import flow, task


@task
def step(before: int) -> int:
    return before + 1


@flow
def fan(count: int) -> int:
    return sum(step.map(range(count)).result())


@flow
def chain(count: int) -> int:
    value = 0
    for _ in range(count):
        value = step(value)
    return value


if __name__ == "__main__":
    run = {"fan": fan, "chain": chain}[sys.argv[1]]
    run(1)
    started = time.perf_counter()
    run(int(sys.argv[2]))
    print("seconds", time.perf_counter() - started)
