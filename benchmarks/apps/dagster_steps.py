"""Jobs of ops that do nothing, as Dagster's documentation writes them: `python dagster_steps.py fan|chain COUNT`.

The state is in the instance of DAGSTER_HOME, and the ops run in this process, which is Dagster's fastest way. Prints
the seconds of a second run.
"""

import sys
import time

from dagster import DagsterInstance, In, graph, op


@op
def first() -> int:
    return 0


@op
def step(before: int) -> int:
    return before + 1


@op(ins={"values": In(list[int])})
def total(values: list[int]) -> int:
    return sum(values)


def fan(count: int):
    @graph
    def steps() -> None:
        start = first()
        total([step.alias(f"step_{number}")(start) for number in range(count)])

    return steps.to_job()


def chain(count: int):
    @graph
    def steps() -> None:
        value = first()
        for number in range(count):
            value = step.alias(f"step_{number}")(value)

    return steps.to_job()


if __name__ == "__main__":
    make = {"fan": fan, "chain": chain}[sys.argv[1]]
    with DagsterInstance.get() as instance:
        make(1).execute_in_process(instance=instance)
        job = make(int(sys.argv[2]))
        started = time.perf_counter()
        job.execute_in_process(instance=instance)
        print("seconds", time.perf_counter() - started)
