"""What a query knows of who asks, and when."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Session:
    """Where names without a catalog or database lie, the moment that the query takes for now (seconds since the
    epoch), and who asks. Its time zone is UTC, as in Athena."""

    catalog: str
    database: str
    now: float
    user: str = ""
