"""Which steps of which executions there is news of, in the memory of the process that drives them.

Nothing is lost with it: an execution that is seen for the first time is looked at whole, and so is each now and then.
"""

from threading import Lock

from clary.kernel.rooms import OnePerPlatform, Platform


class Notices:
    """The names of jobs that have gone on, by the key of their execution."""

    def __init__(self, _: Platform) -> None:
        self._known: set[str] = set()
        self._news: dict[str, set[str]] = {}
        self._lock = Lock()

    def add(self, key: str, job: str) -> None:
        with self._lock:
            self._news.setdefault(key, set()).add(job)

    def look_at_all(self, key: str) -> None:
        """Have the next look see every step."""
        with self._lock:
            self._known.discard(key)

    def take(self, key: str) -> set[str] | None:
        """The jobs with news since the last look; None: look at all."""
        with self._lock:
            news = self._news.pop(key, set())
            if key in self._known:
                return news
            self._known.add(key)
            return None

    def forget(self, key: str) -> None:
        """Let go of an execution that has ended."""
        with self._lock:
            self._known.discard(key)
            self._news.pop(key, None)


notices_of = OnePerPlatform(Notices)
