"""Run subjects side by side, in turns, and print what each did: server CPU for each operation first, then throughput.

On a machine that others use too, throughput wanders and CPU time wanders less: judge by the CPU first, and only within
one table.
"""

import gc
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psutil

from benchmarks.load import Outcome, replay


@dataclass(frozen=True)
class Subject:
    """A server that runs, and the requests it is sent. `processes` lists the ids of all that work for it.

    `part` names some of them whose CPU is shown apart as well.
    """

    name: str
    port: int
    requests: Sequence[bytes]
    processes: Callable[[], list[int]]
    part: tuple[str, Callable[[], list[int]]] | None = None


@dataclass
class Result:
    subject: str
    rounds: list[Outcome] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    part: str = ""
    part_cpu_seconds: list[float] = field(default_factory=list)

    def median(self, value: Callable[[Outcome], float]) -> float:
        return statistics.median(value(one) for one in self.rounds)

    @property
    def cpu_microseconds(self) -> float:
        """Server CPU for each operation that worked."""
        return self._each(self.cpu_seconds)

    @property
    def part_cpu_microseconds(self) -> float:
        return self._each(self.part_cpu_seconds)

    def _each(self, seconds: Sequence[float]) -> float:
        costs = [cpu / one.done * 1e6 for cpu, one in zip(seconds, self.rounds, strict=True) if one.done]
        return statistics.median(costs) if costs else float("nan")


def tree(pid: int) -> Callable[[], list[int]]:
    """The process and all its descendants; none once it has ended."""

    def look() -> list[int]:
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return []
            return [pid, *(child.pid for child in process.children(recursive=True))]
        except psutil.NoSuchProcess:
            return []

    return look


def cpu_of(pids: Sequence[int]) -> dict[int, float]:
    """CPU seconds, user and system, that each process has used."""
    used = {}
    for pid in pids:
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.NoSuchProcess:
            continue
        used[pid] = times.user + times.system
    return used


def side_by_side(
    subjects: Sequence[Subject], *, connections: int, seconds: float, rounds: int = 3, count: int = 10**9
) -> list[Result]:
    """Load each subject in turn, `rounds` times over, after a short warm-up. Another one begins each time."""
    for subject in subjects:
        replay(subject.port, subject.requests, connections=connections, seconds=min(1.0, seconds), count=count)
    results = [Result(subject.name, part=subject.part[0] if subject.part else "") for subject in subjects]
    turns = list(zip(subjects, results, strict=True))
    for _ in range(rounds):
        for subject, result in turns:
            gc.collect()
            before = cpu_of(subject.processes())
            outcome = replay(subject.port, subject.requests, connections=connections, seconds=seconds, count=count)
            after = cpu_of(subject.processes())
            used = {pid: after[pid] - before.get(pid, 0.0) for pid in after}
            result.rounds.append(outcome)
            result.cpu_seconds.append(sum(used.values()))
            if subject.part:
                result.part_cpu_seconds.append(sum(used.get(pid, 0.0) for pid in subject.part[1]()))
        turns = [*turns[1:], turns[0]]
    return results


def show(title: str, results: Sequence[Result], *, megabytes_each: float = 0.0) -> None:
    """Print a table; the first subject is what the others are compared with."""
    first = results[0]
    unit = "MB/s" if megabytes_each else "per s"
    scale = megabytes_each or 1.0
    print(f"\n{title}")
    print(
        f"  {'':28}{'CPU us/op':>11}{unit:>11}{'p50 ms':>9}{'p99 ms':>9}{'failed':>8}{'  CPU against ' + first.subject}"
    )
    for result in results:
        rate = result.median(lambda one: one.rate) * scale
        middle = result.median(lambda one: one.percentile(50)) * 1e3
        slowest = result.median(lambda one: one.percentile(99)) * 1e3
        failed = sum(one.failed for one in result.rounds)
        times = result.cpu_microseconds / first.cpu_microseconds
        print(
            f"  {result.subject:28}{_figure(result.cpu_microseconds, 0)}{_figure(rate, 0)}{_figure(middle, 2)}"
            f"{_figure(slowest, 2)}{failed:>8}{_figure(times, 2)} x",
            flush=True,
        )
        if result.part:
            print(f"  {'  of these, ' + result.part:28}{_figure(result.part_cpu_microseconds, 0)}")
    print(f"  {load_generator(results)}", flush=True)


def load_generator(results: Sequence[Result]) -> str:
    """What the load generator took of the machine, to be seen not to be what was measured."""
    rounds = [one for result in results for one in result.rounds if one.done]
    if not rounds:
        return "nothing was answered"
    each = statistics.median(one.own_cpu_seconds / (one.done + one.failed) for one in rounds) * 1e6
    most = max(one.own_cpu_seconds / one.seconds for one in rounds)
    return f"the load generator took {each:,.0f} us a request, and at most {most:.0%} of a CPU"


def _figure(value: float, decimals: int) -> str:
    return f"{'-':>11}" if math.isnan(value) else f"{value:>11,.{decimals}f}"
