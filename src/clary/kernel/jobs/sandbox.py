"""The seam between the shim, which looks after a host, and the executor, which knows how to confine one."""

from typing import Protocol

from clary.kernel.jobs.contract import HostSpec
from clary.kernel.jobs.folder import HostFolder


class SandboxFault(Exception):
    """The executor cannot run this host here; the message says why and what would help."""


class Process(Protocol):
    """The main process of a host and everything it began."""

    pid: int
    stdout: int
    """File descriptors to read; both reach their end once nothing of the host lives."""
    stderr: int
    ml: str
    """Where the process sees its /opt/ml."""

    def wait(self) -> int:
        """Block until the main process ended; its exit code, 128 + n when signal n ended it. May run in any thread."""

    def terminate(self) -> bool:
        """Ask the program to end (SIGTERM). False when there was none to ask: not yet, or no longer."""

    def kill(self) -> None:
        """End everything of the host now."""

    def remark(self) -> str:
        """What the executor knows about an unwanted end, such as the memory limit; empty when nothing."""

    def close(self) -> None:
        """Let go of what the process needed, once it was killed."""


class Sandbox(Protocol):
    """Makes one host's process. The process and all that it begins die when the shim that launched it dies."""

    read_only_views: bool
    """Whether FastFile channels are shown read-only, so that the objects themselves may be linked into them."""

    def launch(self, spec: HostSpec, folder: HostFolder) -> Process:
        """Start `spec.argv` on the staged folder. Called from the shim's main thread. Raises SandboxFault."""
