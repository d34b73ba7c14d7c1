"""Functions of texts."""

from clary.systems.athena.select.functions.calls import Handler

SIGNATURES = ""
HANDLERS: dict[str, Handler] = {}
