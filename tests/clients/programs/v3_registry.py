"""SageMaker SDK v3: train, `ModelBuilder.register`, approve, deploy a model of the package's ARN, invoke, delete."""

import csv
import json
import sys
import uuid
from pathlib import Path

from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.resources import Endpoint, EndpointConfig, Model, ModelPackage, ModelPackageGroup
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant
from sagemaker.core.training.configs import Compute, InputData
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train.model_trainer import ModelTrainer

folder = Path(sys.argv[1])
session = Session()
group = f"v3-flights-{uuid.uuid4().hex[:8]}"
train = session.upload_data(str(folder / "train.csv"), key_prefix="v3-registry/train")
image = image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1")

trainer = ModelTrainer(
    training_image=image,
    compute=Compute(instance_type="ml.m5.large", instance_count=1),
    hyperparameters={"objective": "reg:squarederror", "num_round": 20, "max_depth": 4},
    base_job_name="v3-registry",
)
trainer.train(input_data_config=[InputData(channel_name="train", data_source=train, content_type="text/csv")])
builder = ModelBuilder(model=trainer, image_uri=image, instance_type="ml.m5.large")
builder.build()
arn = builder.register(
    model_package_group_name=group,
    content_types=["text/csv"],
    response_types=["text/csv"],
    inference_instances=["ml.m5.large"],
    transform_instances=["ml.m5.large"],
    customer_metadata_properties={"sdk": "v3"},
)
package = ModelPackage.get(arn)
pending = package.model_approval_status
package.update(model_approval_status="Approved", approval_description="good on the test set")
package.refresh()

name = f"{group}-model"
model = Model.create(
    model_name=name,
    primary_container=ContainerDefinition(model_package_name=arn),
    execution_role_arn=get_execution_role(),
)
variant = ProductionVariant(
    variant_name="AllTraffic", model_name=name, initial_instance_count=1, instance_type="ml.m5.large"
)
config = EndpointConfig.create(endpoint_config_name=name, production_variants=[variant])
endpoint = Endpoint.create(endpoint_name=name, endpoint_config_name=name)
endpoint.wait_for_status("InService")
with (folder / "test.csv").open(newline="") as file:
    rows = [[float(value) for value in row] for row in csv.reader(file)][:100]
body = "\n".join(",".join(str(value) for value in row[1:]) for row in rows)
answer = endpoint.invoke(body=body, content_type="text/csv").body
text = answer.read().decode() if hasattr(answer, "read") else str(answer)
predicted = [float(value) for value in text.replace("\n", ",").strip(",").split(",")]
endpoint.delete()
config.delete()
model.delete()
groups = [one.model_package_group_name for one in ModelPackageGroup.get_all(name_contains=group)]
package.delete()
ModelPackageGroup.get(group).delete()

labels = [row[0] for row in rows]
mean = sum(labels) / len(labels)
print(
    json.dumps(
        {
            "version": package.model_package_version,
            "pending": pending,
            "approved": package.model_approval_status,
            "groups": len(groups),
            "error": sum(abs(p - y) for p, y in zip(predicted, labels, strict=True)) / len(labels),
            "baseline": sum(abs(mean - y) for y in labels) / len(labels),
        }
    )
)
