"""How work runs: the contract of executors, the shim that looks after one host, and the slots of this machine."""

from clary.kernel.jobs.contract import Executor, HostSpec, Observation, Outcome, Phase

__all__ = ["Executor", "HostSpec", "Observation", "Outcome", "Phase"]
