"""The process that looks into files: what is in them may break a library, or never let a pattern of a user's end.

It reads a request a line, answers with a line, and ends with what feeds it.
"""

import json
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from clary.lake.inference.classify import classify

CPU_SECONDS_FOR_A_FILE = 60.0  # on a busy machine any other time says little
SECONDS_FOR_A_FILE = 600.0
_MEMORY_BYTES = 8 << 30


def main() -> None:
    """Answer until there is no more request."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    for line in sys.stdin:
        # Nothing handles the alarms: they end the process, also in the middle of a pattern that does not end.
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS_FOR_A_FILE)
        signal.setitimer(signal.ITIMER_REAL, SECONDS_FOR_A_FILE)
        answer = _answer(json.loads(line))
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        found = classify(Path(request["path"]), request["name"], request["classifiers"])
    except (ValueError, OSError, MemoryError, RecursionError) as error:
        return {"error": str(error) or type(error).__name__}
    return {"found": found.document()}


if __name__ == "__main__":
    main()
