"""SageMaker SDK v2: `sagemaker.lineage` over what a job and an endpoint left, and over entities of one's own."""

import json
import sys
from pathlib import Path

import sagemaker
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.lineage.action import Action
from sagemaker.lineage.artifact import Artifact, DatasetArtifact, ModelArtifact
from sagemaker.lineage.association import Association
from sagemaker.lineage.context import Context, EndpointContext
from sagemaker.lineage.query import LineageEntityEnum, LineageFilter, LineageQuery, LineageQueryDirectionEnum
from sagemaker.lineage.visualizer import LineageTableVisualizer

folder = Path(sys.argv[1])
session = sagemaker.Session()
train = session.upload_data(str(folder / "train.csv"), key_prefix="v2-lineage/train")
estimator = Estimator(
    sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1"),
    sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.large",
    base_job_name="v2-lineage",
    hyperparameters={"objective": "reg:squarederror", "num_round": 5},
    sagemaker_session=session,
)
estimator.fit({"train": TrainingInput(train, content_type="text/csv")}, logs=False)
predictor = estimator.deploy(1, "ml.m5.large")
endpoint_arn = session.sagemaker_client.describe_endpoint(EndpointName=predictor.endpoint_name)["EndpointArn"]


def first(listing, **filters):
    """The first that is listed, once the platform has recorded it."""
    found = None
    while found is None:
        found = next(iter(listing(sagemaker_session=session, **filters)), None)
    return found


endpoint = EndpointContext.load(first(Context.list, source_uri=endpoint_arn).context_name, session)
model = ModelArtifact.load(first(Artifact.list, source_uri=estimator.model_data).artifact_arn, session)
data = DatasetArtifact.load(first(Artifact.list, source_uri=train).artifact_arn, session)
whole = LineageQuery(session).query(
    start_arns=[endpoint.context_arn], direction=LineageQueryDirectionEnum.ASCENDANTS, include_edges=True
)
jobs = LineageQuery(session).query(
    start_arns=[model.artifact_arn],
    query_filter=LineageFilter(entities=[LineageEntityEnum.TRIAL_COMPONENT]),
    direction=LineageQueryDirectionEnum.ASCENDANTS,
    include_edges=False,
)
table = LineageTableVisualizer(session).show(endpoint_arn=endpoint_arn)

# A graph of one's own: an endpoint whose deployment leads to its model, as `EndpointContext.models()` goes.
mine = EndpointContext.create(f"{predictor.endpoint_name}-mine", "mine", "ARN", "Endpoint", sagemaker_session=session)
deployment = Action.create(
    f"{predictor.endpoint_name}-mine", "mine", "ARN", "ModelDeployment", sagemaker_session=session
)
note = Artifact.create("note", f"{train}#note", artifact_type="Note", properties={"a": "1"}, sagemaker_session=session)
for source, destination in ((mine.context_arn, deployment.action_arn), (deployment.action_arn, model.artifact_arn)):
    Association.create(source, destination, "AssociatedWith", sagemaker_session=session)
note.properties["b"] = "2"
note.save()
models = mine.models()
deployment.delete(disassociate=True)
mine.delete(disassociate=True)
loaded = Artifact.load(note.artifact_arn, session)
note.delete()

right = [
    [found.source.source_uri for found in model.dataset_artifacts()] == [train],
    [found.source.source_uri for found in endpoint.dataset_artifacts()] == [train],
    [found.context_name for found in data.endpoint_contexts()] == [endpoint.context_name],
    [vertex.arn.partition("/")[2] for vertex in jobs.vertices]
    == [f"{estimator.latest_training_job.name}-aws-training-job"],
    [found.destination_arn for found in models] == [model.artifact_arn],
    loaded.properties == {"a": "1", "b": "2"},
]
result = {
    "right": right,
    "types": sorted(vertex.lineage_source for vertex in whole.vertices),
    "edges": len(whole.edges),
    "table": table[["Direction", "Type", "Association Type", "Lineage Type"]].values.tolist(),
}
predictor.delete_model()
predictor.delete_endpoint()
print(json.dumps(result))
