"""SageMaker SDK v2: train, `register` twice, approve, deploy by ARN, transform, and a model card; then delete."""

import csv
import json
import sys
import uuid
from pathlib import Path

import sagemaker
from sagemaker import ModelPackage
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.model_card import IntendedUses, ModelCard, ModelCardStatusEnum, RiskRatingEnum
from sagemaker.model_card import ModelPackage as CardPackage
from sagemaker.model_metrics import MetricsSource, ModelMetrics
from sagemaker.s3 import S3Downloader
from sagemaker.serializers import CSVSerializer

folder = Path(sys.argv[1])
session = sagemaker.Session()
role = sagemaker.get_execution_role()
client = session.sagemaker_client
group = f"v2-flights-{uuid.uuid4().hex[:8]}"
train = session.upload_data(str(folder / "train.csv"), key_prefix="v2-registry/train")
with (folder / "test.csv").open(newline="") as file:
    rows = [[float(value) for value in row] for row in csv.reader(file)][:100]
features = [row[1:] for row in rows]

estimator = Estimator(
    sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1"),
    role,
    instance_count=1,
    instance_type="ml.m5.large",
    base_job_name="v2-registry",
    hyperparameters={"objective": "reg:squarederror", "num_round": 20, "max_depth": 4},
)
estimator.fit({"train": TrainingInput(train, content_type="text/csv")}, logs="None")

metrics = ModelMetrics(model_statistics=MetricsSource("application/json", "s3://any/statistics.json"))
packages = [
    estimator.create_model().register(
        content_types=["text/csv"],
        response_types=["text/csv"],
        inference_instances=["ml.m5.large"],
        transform_instances=["ml.m5.large"],
        model_package_group_name=group,
        model_metrics=None if attempt == 1 else metrics,
        customer_metadata_properties={"attempt": str(attempt)},
        description="minutes in the air",
    )
    for attempt in (1, 2)
]
latest = packages[-1].model_package_arn
pending = client.describe_model_package(ModelPackageName=latest)["ModelApprovalStatus"]
client.update_model_package(
    ModelPackageArn=latest, ModelApprovalStatus="Approved", ApprovalDescription="good on the test set"
)
[approved] = client.list_model_packages(ModelPackageGroupName=group, ModelApprovalStatus="Approved")[
    "ModelPackageSummaryList"
]

package = ModelPackage(role=role, model_package_arn=approved["ModelPackageArn"], sagemaker_session=session)
package.deploy(1, "ml.m5.large", endpoint_name=f"{group}-endpoint")
predictor = sagemaker.Predictor(f"{group}-endpoint", sagemaker_session=session, serializer=CSVSerializer())
answer = predictor.predict(features).decode()
predicted = [float(value) for value in answer.replace("\n", ",").strip(",").split(",")]
predictor.delete_endpoint()
data = session.upload_string_as_file_body(
    "\n".join(",".join(map(str, row)) for row in features), session.default_bucket(), "v2-registry/in/rows.csv"
)
transformer = package.transformer(1, "ml.m5.large", assemble_with="Line", accept="text/csv")
transformer.transform(data, content_type="text/csv", split_type="Line", logs=False)
[output] = S3Downloader.list(transformer.output_path)
transformed = [float(value) for value in S3Downloader.read_file(output).split()]
transformer.delete_model()

card = ModelCard(
    name=f"{group}-card",
    status=ModelCardStatusEnum.DRAFT,
    model_package_details=CardPackage.from_model_package_arn(packages[0].model_package_arn, sagemaker_session=session),
    intended_uses=IntendedUses(purpose_of_model="minutes in the air", risk_rating=RiskRatingEnum.LOW),
    sagemaker_session=session,
)
card.create()
card.intended_uses.risk_rating = RiskRatingEnum.MEDIUM
card.status = ModelCardStatusEnum.APPROVED
card.update()
versions = [one["ModelCardVersion"] for one in card.get_version_history()]
exported = S3Downloader.read_bytes(card.export_pdf(f"s3://{session.default_bucket()}/v2-registry/cards"))
loaded = ModelCard.load(name=card.name, sagemaker_session=session)
discovered = loaded.training_details.training_job_details.training_arn
card.delete()

for one in packages:
    client.delete_model_package(ModelPackageName=one.model_package_arn)
client.delete_model_package_group(ModelPackageGroupName=group)

labels = [row[0] for row in rows]
mean = sum(labels) / len(labels)
print(
    json.dumps(
        {
            "arns": [one.model_package_arn.partition("/")[2].partition("/")[2] for one in packages],
            "pending": pending,
            "approved": approved["ModelPackageVersion"],
            "versions": versions,
            "discovered": discovered.rpartition("/")[2] == estimator.latest_training_job.name,
            "risk": loaded.intended_uses.risk_rating,
            "exported": exported[:5].decode(),
            "transformed": transformed == predicted,
            "error": sum(abs(p - y) for p, y in zip(predicted, labels, strict=True)) / len(labels),
            "baseline": sum(abs(mean - y) for y in labels) / len(labels),
        }
    )
)
