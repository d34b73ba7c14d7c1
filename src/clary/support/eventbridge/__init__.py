"""EventBridge: events matched by rules and brought to targets, and schedules that call anything when it is time."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="eventbridge",
    title="EventBridge",
    summary="rules that match events, the platform's own among them, and bring them to targets; schedules",
    observes=(
        "training_job",
        "processing_job",
        "transform_job",
        "endpoint",
        "endpoint_config",
        "model",
        "model_package",
        "feature_group",
        "pipeline_execution",
        "pipeline_step",
        "cloudwatch_alarm",
        "query_execution",
        "glue_crawl",
    ),
)
