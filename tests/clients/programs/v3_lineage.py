"""SageMaker SDK v3: `sagemaker.core.lineage` and resources over what a training job and an endpoint left."""

import json
import logging
import sys
import uuid
from pathlib import Path

from sagemaker.core import image_uris, resources
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.lineage.artifact import Artifact, ModelArtifact
from sagemaker.core.lineage.context import Context, EndpointContext
from sagemaker.core.lineage.query import LineageQuery, LineageQueryDirectionEnum
from sagemaker.core.lineage.visualizer import LineageTableVisualizer
from sagemaker.core.shapes import ActionSource, ArtifactSource
from sagemaker.core.training.configs import Compute, InputData
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train.model_trainer import ModelTrainer

logging.basicConfig(level=logging.INFO, stream=sys.stdout, force=True)
folder = Path(sys.argv[1])
session = Session()
train = session.upload_data(str(folder / "train.csv"), key_prefix="v3-lineage/train")
image = image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1")
trainer = ModelTrainer(
    training_image=image,
    compute=Compute(instance_type="ml.m5.large", instance_count=1),
    hyperparameters={"objective": "reg:squarederror", "num_round": 5},
    base_job_name="v3-lineage",
)
trainer.train(input_data_config=[InputData(channel_name="train", data_source=train, content_type="text/csv")])
builder = ModelBuilder(model=trainer, image_uri=image, instance_type="ml.m5.large")
served = builder.build()
deployed = builder.deploy(endpoint_name=f"v3-lineage-{uuid.uuid4().hex[:8]}", initial_instance_count=1)
endpoint_arn = resources.Endpoint.get(deployed.endpoint_name).endpoint_arn


def first(listing, **filters):
    """The first that is listed, once the platform has recorded it."""
    found = None
    while found is None:
        found = next(iter(listing(sagemaker_session=session, **filters)), None)
    return found


trained = resources.TrainingJob.get(trainer._latest_training_job.training_job_name).model_artifacts.s3_model_artifacts
endpoint = EndpointContext.load(first(Context.list, source_uri=endpoint_arn).context_name, session)
model = ModelArtifact.load(first(Artifact.list, source_uri=trained).artifact_arn, session)
whole = LineageQuery(session).query(start_arns=[endpoint.context_arn], direction=LineageQueryDirectionEnum.ASCENDANTS)
table = LineageTableVisualizer(session).show(endpoint_arn=endpoint_arn)

# The generated resources: an action and an artifact of one's own, associated, found, and taken away again.
name = f"note-{uuid.uuid4().hex[:8]}"
note = resources.Artifact.create(artifact_type="Note", source=ArtifactSource(source_uri=name), artifact_name="note")
action = resources.Action.create(
    action_name=name, action_type="Review", source=ActionSource(source_uri=name), status="InProgress"
)
resources.Association.add(source_arn=action.action_arn, destination_arn=note.artifact_arn, association_type="Produced")
action.update(status="Completed")
found = [one.source_name for one in resources.Association.get_all(destination_arn=note.artifact_arn)]
resources.Association(source_arn=action.action_arn, destination_arn=note.artifact_arn).delete()
status = resources.Action.get(name).status
action.delete()
note.delete()

right = [
    [artifact.source.source_uri for artifact in model.dataset_artifacts()] == [train],
    [context.context_name for context in model.endpoint_contexts()] == [endpoint.context_name],
    found == [name],
    status == "Completed",
]
result = {
    "right": right,
    "types": sorted(vertex.lineage_source for vertex in whole.vertices),
    "edges": len(whole.edges),
    "table": table[["Direction", "Type", "Association Type", "Lineage Type"]].values.tolist(),
}
deployed.delete()
served.delete()
print(json.dumps(result))
