"""What is stored: artifacts, actions and contexts, the associations between them, and the account's lineage group.

An entity is named by the resource part of its ARN: `artifact/<id>`, `action/<name>`, `context/<name>`, or
`experiment-trial-component/<name>` for what stands for a job. An association is named by its two ends with a space
between, and its parent is the destination: both ends are found by an index.
"""

from dataclasses import dataclass, field
from typing import Any

from clary.kernel.store import record


@dataclass(frozen=True, slots=True)
class Entity:
    """What artifacts, actions and contexts have in common. `type` is the user's word for what it is.

    `source` is spelled as on the wire; its SourceUri is the record's parent. `created_by` and `modified_by` are the
    IamIdentity of who did it, empty for the platform.
    """

    type: str
    source: dict[str, Any]
    properties: dict[str, str] = field(default_factory=dict)
    description: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    created_by: dict[str, str] = field(default_factory=dict)
    modified_by: dict[str, str] = field(default_factory=dict)


@record("lineage_artifact", version=1)
@dataclass(frozen=True, slots=True)
class Artifact(Entity):
    """Something that has a URI; the record's name is an id made of it. `title` is its ArtifactName, if it has one."""

    title: str = ""


@record("lineage_action", version=1)
@dataclass(frozen=True, slots=True)
class Action(Entity):
    """Something that was done: a deployment, an approval."""

    status: str = ""


@record("lineage_context", version=1)
@dataclass(frozen=True, slots=True)
class LineageContext(Entity):
    """What groups others: an endpoint, a group of model packages."""


@record("lineage_association", version=1)
@dataclass(frozen=True, slots=True)
class Association:
    """An edge from a source to a destination. `type` may be empty. The types of the ends are theirs for good."""

    type: str
    source_type: str
    destination_type: str
    created_by: dict[str, str] = field(default_factory=dict)


@record("lineage_group", version=1)
@dataclass(frozen=True, slots=True)
class LineageGroup:
    """All lineage of an account in a region. It is made when it is first asked for."""

    title: str
