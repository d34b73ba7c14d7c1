"""CloudWatch: metrics of jobs, endpoints and clients, alarms on them, dashboards."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="cloudwatch",
    title="CloudWatch",
    summary="metrics with statistics, percentiles and metric math; alarms that are really evaluated; dashboards",
)
