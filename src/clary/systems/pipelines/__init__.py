"""Pipelines: versioned DAGs of steps that run again on new data."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="pipelines",
    number=2,
    title="Pipelines",
    summary="versioned DAGs of steps with parameters, conditions and approvals, repeatable on new data",
    observes=(
        "training_job",
        "processing_job",
        "transform_job",
        "model_package",
        "endpoint",
        "inference_component",
    ),
)
