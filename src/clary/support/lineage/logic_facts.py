"""What the platform records by itself, derived from what Describe operations say. Pure.

    training    image, data sets ──ContributedTo──▶ job ──Produced──▶ model, checkpoints, TensorBoard data
    processing  image, data sets ──ContributedTo──▶ job ──Produced──▶ data sets
    transform   model, image, data set ──ContributedTo──▶ job ──Produced──▶ data set
    package     model, image, approvals ──ContributedTo──▶ model package ──AssociatedWith──▶ model package group
    endpoint    model, image, model package ──ContributedTo──▶ deployment ──AssociatedWith──▶ endpoint

Source: "Amazon SageMaker AI-Created Tracking Entities" in the developer guide, what the SageMaker SDK asks of the graph
that AWS makes, and what its LineageTableVisualizer has shown of one.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clary.support.lineage.records import Action, Artifact, Entity, LineageContext
from clary.support.lineage.resources import artifact_id
from clary.support.lineage.vertices import job_reference

Document = Mapping[str, Any]

CONTRIBUTED, PRODUCED, ASSOCIATED = "ContributedTo", "Produced", "AssociatedWith"
DATA_SET, IMAGE, MODEL, MODEL_DATA = "DataSet", "Image", "Model", "ModelData"
APPROVAL = "Approval"
_ENDED = {"Completed", "Failed", "Stopped"}


@dataclass(slots=True)
class Facts:
    """Entities by their references, and the type of the association from one to another.

    `times` is when something was done, in epoch seconds, where that matters more than when it is recorded; `approvals`
    the approval status that a model package has come to, by its ARN.
    """

    entities: dict[str, Entity] = field(default_factory=dict)
    associations: dict[tuple[str, str], str] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    approvals: dict[str, str] = field(default_factory=dict)

    def artifact(self, uri: str, type_name: str) -> str:
        """Something with a URI; what is known of it already stays."""
        source = {"SourceUri": uri}
        reference = f"artifact/{artifact_id(source)}"
        self.entities.setdefault(reference, Artifact(type_name, source))
        return reference

    def action(self, name: str, action: Action) -> str:
        self.entities.setdefault(f"action/{name}", action)
        return f"action/{name}"

    def context(self, name: str, context: LineageContext) -> str:
        self.entities.setdefault(f"context/{name}", context)
        return f"context/{name}"

    def associate(self, source: str, destination: str, type_name: str) -> None:
        self.associations.setdefault((source, destination), type_name)


def training_job(facts: Facts, document: Document) -> None:
    job = job_reference(document["TrainingJobName"], "-aws-training-job")
    _contribute(facts, job, _text(document, "AlgorithmSpecification", "TrainingImage"), IMAGE)
    for channel in document.get("InputDataConfig") or ():
        _contribute(facts, job, _text(channel, "DataSource", "S3DataSource", "S3Uri"), DATA_SET)
    _produce(facts, job, _text(document, "ModelArtifacts", "S3ModelArtifacts"), MODEL)
    if document["TrainingJobStatus"] in _ENDED:
        _produce(facts, job, _text(document, "CheckpointConfig", "S3Uri"), "Checkpoint")
        _produce(facts, job, _text(document, "TensorBoardOutputConfig", "S3OutputPath"), "TensorBoard")


def processing_job(facts: Facts, document: Document) -> None:
    job = job_reference(document["ProcessingJobName"], "-aws-processing-job")
    _contribute(facts, job, _text(document, "AppSpecification", "ImageUri"), IMAGE)
    for given in document.get("ProcessingInputs") or ():
        _contribute(facts, job, _text(given, "S3Input", "S3Uri"), DATA_SET)
    if document["ProcessingJobStatus"] == "Completed":
        for made in (document.get("ProcessingOutputConfig") or {}).get("Outputs") or ():
            _produce(facts, job, _text(made, "S3Output", "S3Uri"), DATA_SET)


def transform_job(facts: Facts, document: Document, containers: Iterable[Document]) -> None:
    job = job_reference(document["TransformJobName"], "-aws-transform-job")
    _serve(facts, job, containers)
    _contribute(facts, job, _text(document, "TransformInput", "DataSource", "S3DataSource", "S3Uri"), DATA_SET)
    if document["TransformJobStatus"] == "Completed":
        _produce(facts, job, _text(document, "TransformOutput", "S3OutputPath"), DATA_SET)


def endpoint(
    facts: Facts, arn: str, document: Document, containers: Iterable[Document], properties: Mapping[str, str]
) -> None:
    """An endpoint that serves a configuration: a context for as long as it lives, an action for what it deployed.

    Names are made of when the endpoint was created, so that one deleted and made anew is another.
    """
    name, config, created = document["EndpointName"], document["EndpointConfigName"], float(document["CreationTime"])
    source = _resource(arn, created)
    deployed = hashlib.md5(f"{created!r} {config}".encode(), usedforsecurity=False).hexdigest()[:8]
    action = facts.action(
        f"{name}-{int(created)}-{deployed}-aws-endpoint",
        Action("ModelDeployment", source, {"EndpointConfigName": config, **properties}, status="Completed"),
    )
    context = facts.context(
        f"{name}-{int(created)}-aws-endpoint",
        LineageContext("Endpoint", source, {"Status": "Completed", **properties}),
    )
    _serve(facts, action, containers)
    facts.associate(action, context, ASSOCIATED)


def model_package_group(facts: Facts, document: Document, properties: Mapping[str, str]) -> str:
    """A group of model packages: a context for as long as it lives. Returns its reference."""
    name, created = document["ModelPackageGroupName"], float(document["CreationTime"])
    source = _resource(document["ModelPackageGroupArn"], created)
    return facts.context(
        f"{name}-{int(created)}-aws-model-group", LineageContext("ModelGroup", source, dict(properties))
    )


def model_package(facts: Facts, document: Document, group: str | None) -> None:
    """A model package, and the context of the group that it belongs to; None when it belongs to none."""
    package = facts.artifact(document["ModelPackageArn"], MODEL)
    specifications = [
        document.get("InferenceSpecification"),
        *(document.get("AdditionalInferenceSpecifications") or ()),
    ]
    for specification in specifications:
        _serve(facts, package, (specification or {}).get("Containers") or ())
    if group is not None:
        facts.associate(package, group, ASSOCIATED)


def approval(facts: Facts, document: Document, changed_at: float, properties: Mapping[str, str]) -> None:
    """That a version of a model was given an approval status, when it was created or later."""
    arn, status = document["ModelPackageArn"], document["ModelApprovalStatus"]
    name = document["ModelPackageName"].replace("/", "-")
    told = {"ModelApprovalStatus": status, "ApprovalDescription": document.get("ApprovalDescription") or ""}
    action = facts.action(
        f"{name}-{status}-{int(changed_at)}-aws-model-package",
        Action(
            APPROVAL,
            _resource(arn, float(document["CreationTime"])),
            {**{key: value for key, value in told.items() if value}, **properties},
            status="Completed",
        ),
    )
    facts.times[action] = changed_at
    facts.approvals[arn] = status
    facts.associate(action, facts.artifact(arn, MODEL), CONTRIBUTED)


def java_date(seconds: float) -> str:
    """A time as AWS writes the SourceId of what it records: `Thu Dec 17 17:16:24 UTC 2020`."""
    return time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(seconds))


def _resource(arn: str, created: float) -> dict[str, str]:
    """The source of what stands for a resource."""
    return {"SourceUri": arn, "SourceType": "ARN", "SourceId": java_date(created)}


def _serve(facts: Facts, destination: str, containers: Iterable[Document]) -> None:
    """What the containers of a model contribute to a job, a deployment or a package."""
    for container in containers:
        _contribute(facts, destination, _text(container, "Image"), IMAGE)
        _contribute(facts, destination, _text(container, "ModelDataUrl"), MODEL_DATA)
        _contribute(facts, destination, _text(container, "ModelDataSource", "S3DataSource", "S3Uri"), MODEL_DATA)
        _contribute(facts, destination, _text(container, "ModelPackageName"), MODEL)


def _contribute(facts: Facts, destination: str, uri: str, type_name: str) -> None:
    if uri:
        facts.associate(facts.artifact(uri, type_name), destination, CONTRIBUTED)


def _produce(facts: Facts, source: str, uri: str, type_name: str) -> None:
    if uri:
        facts.associate(source, facts.artifact(uri, type_name), PRODUCED)


def _text(document: Any, *path: str) -> str:
    """What stands at a path of members; empty where it is missing."""
    for member in path:
        document = (document or {}).get(member)
    return str(document or "")
