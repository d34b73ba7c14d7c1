"""SageMaker Processing: one managed run of a program over data in S3, between the steps that train and serve."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="processing",
    title="SageMaker Processing",
    summary="runs a script over data from S3 on one host or several, and brings what it made back to S3",
)
