"""STS: who a caller is, and temporary credentials that really work and really end."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="sts",
    title="STS",
    summary="says who calls, and hands out temporary credentials for roles whose trust policy allows it",
)
