"""ML Lineage: what was made of what, by which job, and where it is deployed."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="lineage",
    title="ML Lineage",
    summary="what data sets, models, jobs and endpoints came from and went into, recorded by itself and queried",
    observes=(
        "training_job",
        "processing_job",
        "transform_job",
        "model_package_group",
        "model_package",
        "endpoint",
    ),
)
