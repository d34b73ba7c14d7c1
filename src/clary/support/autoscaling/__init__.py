"""Application Auto Scaling: how many instances serve a variant, from its load or by the clock."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="autoscaling",
    title="Application Auto Scaling",
    summary="instance counts of endpoint variants that follow load or the clock; target tracking, steps, schedules",
)
