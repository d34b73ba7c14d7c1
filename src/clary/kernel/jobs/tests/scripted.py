"""An executor that runs nothing: what is observed of a host is what a test says."""

from clary.kernel.jobs.contract import Capability, HostSpec, Observation


class ScriptedExecutor:
    """Holds what is `seen` of each (job, host). A test's own says what is seen `at_start` and when one is stopped."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], Observation] = {}

    def at_start(self, spec: HostSpec) -> Observation:
        """What is seen of a host that was started for the first time."""
        raise NotImplementedError

    def start(self, spec: HostSpec) -> None:
        if (spec.job, spec.host) not in self.seen:
            self.seen[spec.job, spec.host] = self.at_start(spec)

    def observe(self, job: str, host: str) -> Observation | None:
        return self.seen.get((job, host))

    def stop(self, job: str, host: str) -> None:
        raise NotImplementedError

    def hosts(self) -> list[tuple[str, str]]:
        return list(self.seen)

    def forget(self, job: str, host: str) -> None:
        self.seen.pop((job, host), None)

    def end_all(self, *, forget: bool = False) -> int:
        return 0

    def prepare(self) -> None:
        """Nothing to make ready."""

    def close(self) -> None:
        """Nothing is held."""

    def capabilities(self) -> list[Capability]:
        return []
