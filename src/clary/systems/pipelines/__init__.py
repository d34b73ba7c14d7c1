"""Pipelines: steps that wait for each other, run one after the other or side by side, and can be run again."""

from clary.kernel.rooms import Room

ROOM = Room(
    name="pipelines",
    number=2,
    title="Pipelines",
    summary="versioned DAG: process, train, evaluate, condition, approve, register; repeatable on new data; "
    "gates block bad models",
)
