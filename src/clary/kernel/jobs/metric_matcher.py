"""Find the values of metrics in a job's output by the user's regular expressions, which may be catastrophic ones.

Python's engine looks at signals while it backtracks, in the main thread. A CPU timer therefore ends a search that
takes too long, and the definition that was being searched is given up.
"""

import contextlib
import re
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import FrameType

from clary.kernel.jobs.contract import FinalMetric, MetricDefinition

_LONGEST_LINE = 8192
_CPU_SECONDS = 1.0


class _TooSlow(Exception):
    pass


@dataclass(frozen=True)
class _Compiled:
    name: str
    regex: re.Pattern[str]


class MetricMatcher:
    """Collects values from lines, in the main thread only. `complain` gets a sentence per definition given up."""

    def __init__(self, definitions: Iterable[MetricDefinition], complain: Callable[[str], None]) -> None:
        self._complain = complain
        self._active: list[_Compiled] = []
        self._searching: _Compiled | None = None
        self._last: dict[str, FinalMetric] = {}
        for definition in definitions:
            try:
                self._active.append(_Compiled(definition.name, re.compile(definition.regex)))
            except re.error as error:
                complain(f'Metric "{definition.name}" is left out: its regular expression is invalid: {error}.')

    @property
    def final(self) -> tuple[FinalMetric, ...]:
        return tuple(self._last.values())

    def match(self, lines: list[str], now: float) -> list[tuple[str, float, float]]:
        """The (name, value, time) values in `lines`, in their order."""
        found: list[tuple[str, float, float]] = []
        if not self._active:
            return found
        previous = signal.signal(signal.SIGVTALRM, self._expire)
        signal.setitimer(signal.ITIMER_VIRTUAL, _CPU_SECONDS, _CPU_SECONDS)
        try:
            for line in lines:
                if len(line) <= _LONGEST_LINE:
                    found.extend((name, value, now) for name, value in self._values(line))
        except _TooSlow:
            self._give_up()
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, previous)
            self._searching = None
        for name, value, _ in found:
            self._last[name] = FinalMetric(name, value, now)
        return found

    def _values(self, line: str) -> Iterator[tuple[str, float]]:
        # CloudWatch on AWS shows a tab as #011, and published expressions rely on it.
        spellings = (line, line.replace("\t", "#011")) if "\t" in line else (line,)
        for compiled in self._active:
            self._searching = compiled
            for spelling in spellings:
                match = compiled.regex.search(spelling)
                if match and match.re.groups:
                    with contextlib.suppress(TypeError, ValueError):
                        yield compiled.name, float(match.group(1))
                    break
        self._searching = None

    def _expire(self, _: int, __: FrameType | None) -> None:
        if self._searching is not None:  # else between two searches: the timer repeats
            raise _TooSlow

    def _give_up(self) -> None:
        if self._searching is None:
            return
        self._active.remove(self._searching)
        self._complain(
            f'Metric "{self._searching.name}" is given up: its regular expression needs more than {_CPU_SECONDS:.0f} s.'
        )
