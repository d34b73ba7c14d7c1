"""Where `clary demo` finds the program it runs: `examples/main_job.py`, in the clone or in the wheel."""

from pathlib import Path

import clary


def program_path() -> Path:
    """The demo program. Raises FileNotFoundError when neither the clone nor the wheel holds it."""
    package = Path(clary.__file__).parent
    for folder in (package / "examples", package.parent.parent / "examples"):
        program = folder / "main_job.py"
        if program.exists():
            return program
    raise FileNotFoundError("examples/main_job.py is missing from this installation of Clary")
