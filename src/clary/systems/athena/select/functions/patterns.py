"""Functions of patterns."""

from clary.systems.athena.select.functions.calls import Handler

SIGNATURES = ""
HANDLERS: dict[str, Handler] = {}
