"""SageMaker SDK v3: the canonical pipeline over flights, run again and again; an approval starts one that deploys.

Process, train, evaluate; a condition on the error; register and transform, or fail.
"""

import json
import sys
import uuid
from pathlib import Path

from executions import approve_latest, start_on_approval
from flights import error_of, retry_on_new_data, run_again_and_again
from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.lambda_helper import Lambda
from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import ProcessingInput, ProcessingOutput, ProcessingS3Input, ProcessingS3Output
from sagemaker.core.training.configs import Compute, InputData
from sagemaker.core.transformer import Transformer
from sagemaker.core.workflow.conditions import ConditionLessThanOrEqualTo
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.endpoint_step import EndpointConfigStep, EndpointStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.lambda_step import LambdaOutput, LambdaOutputTypeEnum, LambdaStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep, TrainingStep, TransformStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train.model_trainer import ModelTrainer

folder, scripts = Path(sys.argv[1]), Path(__file__).parent / "scripts"
name = f"v3-flights-{uuid.uuid4().hex[:8]}"
plain = Session()
session = PipelineSession()
role = get_execution_role()
client, events = session.sagemaker_client, session.boto_session.client("events")
bucket = session.default_bucket()
cache = CacheConfig(enable_caching=True, expire_after="P1D")
instance = "ml.m5.large"
images = {
    one: image_uris.retrieve(one, session.boto_region_name, version=version, instance_type=instance)
    for one, version in {"xgboost": "1.7-1", "sklearn": "1.2-1"}.items()
}

data = ParameterString("InputData", default_value=plain.upload_data(str(folder / "train.csv"), key_prefix=f"{name}/a"))
judges = ParameterString("Judges", default_value=f"s3://{bucket}/{name}/judges")
depth = ParameterInteger("MaxDepth", default_value=3)
threshold = ParameterFloat("MseThreshold", default_value=1000.0)
plain.upload_data(str(scripts / "flights_evaluate.py"), key_prefix=f"{name}/judges")


def source(named: str, uri: object) -> ProcessingInput:
    place = {"local_path": f"/opt/ml/processing/{named}", "s3_data_type": "S3Prefix", "s3_input_mode": "File"}
    return ProcessingInput(input_name=named, s3_input=ProcessingS3Input(s3_uri=uri, **place))


def output(named: str) -> ProcessingOutput:
    path = f"/opt/ml/processing/{named}"
    # A place of each execution's own: the cache knows data by its URI.
    uri = Join(on="/", values=[f"s3://{bucket}/{name}", ExecutionVariables.PIPELINE_EXECUTION_ID, named])
    target = ProcessingS3Output(s3_uri=uri, local_path=path, s3_upload_mode="EndOfJob")
    return ProcessingOutput(output_name=named, s3_output=target)


def processor(image: str) -> ScriptProcessor:
    return ScriptProcessor(
        image_uri=image,
        command=["python3"],
        instance_type=instance,
        instance_count=1,
        role=role,
        sagemaker_session=session,
    )


prepare = ProcessingStep(
    name="PrepareFlights",
    step_args=processor(images["sklearn"]).run(
        code=str(scripts / "flights_prepare.py"),
        inputs=[source("input", data)],
        outputs=[output(part) for part in ("train", "validation", "test", "batch")],
        arguments=["--held-out", "0.2"],
    ),
    cache_config=cache,
)
made = prepare.properties.ProcessingOutputConfig.Outputs

trainer = ModelTrainer(
    training_image=images["xgboost"],
    compute=Compute(instance_type=instance, instance_count=1),
    hyperparameters={"objective": "reg:squarederror", "num_round": 10, "max_depth": depth},
    base_job_name="train-flights",
    role=role,
    sagemaker_session=session,
    input_data_config=[
        InputData(channel_name=part, data_source=made[part].S3Output.S3Uri, content_type="text/csv")
        for part in ("train", "validation")
    ],
)
train = TrainingStep(name="TrainFlights", step_args=trainer.train(), cache_config=cache)
artifact = train.properties.ModelArtifacts.S3ModelArtifacts

report = PropertyFile(name="Evaluation", output_name="evaluation", path="evaluation.json")
evaluate = ProcessingStep(
    name="EvaluateFlights",
    step_args=processor(images["xgboost"]).run(
        code=str(scripts / "flights_evaluate.py"),
        inputs=[source("model", artifact), source("test", made["test"].S3Output.S3Uri), source("judges", judges)],
        outputs=[output("evaluation")],
    ),
    property_files=[report],
    cache_config=cache,
)

builder = ModelBuilder(
    s3_model_data_url=artifact, image_uri=images["xgboost"], role_arn=role, sagemaker_session=session
)
create = ModelStep(name="CreateFlights", step_args=builder.build())
statistics = Join(
    on="/",
    values=[evaluate.properties.ProcessingOutputConfig.Outputs["evaluation"].S3Output.S3Uri, "evaluation.json"],
)
register = ModelStep(
    name="RegisterFlights",
    step_args=builder.register(
        content_types=["text/csv"],
        response_types=["text/csv"],
        inference_instances=[instance],
        transform_instances=[instance],
        model_package_group_name=name,
        approval_status="PendingManualApproval",
        model_metrics=ModelMetrics(model_statistics=MetricsSource("application/json", statistics)),
    ),
)
transform = TransformStep(
    name="ScoreFlights",
    step_args=Transformer(
        model_name=create.properties.ModelName,
        instance_type=instance,
        instance_count=1,
        output_path=f"s3://{bucket}/{name}/scores",
        assemble_with="Line",
        accept="text/csv",
        sagemaker_session=session,
    ).transform(data=made["batch"].S3Output.S3Uri, content_type="text/csv", split_type="Line"),
)
fail = FailStep(name="TooFarOff", error_message=Join(on=" ", values=["Execution failed due to MSE >", threshold]))
gate = ConditionStep(
    name="GoodEnough",
    conditions=[
        ConditionLessThanOrEqualTo(
            left=JsonGet(step_name=evaluate.name, property_file=report, json_path="regression_metrics.mse.value"),
            right=threshold,
        )
    ],
    if_steps=[register, create, transform],
    else_steps=[fail],
)
pipeline = Pipeline(
    name=name,
    parameters=[data, judges, depth, threshold],
    steps=[prepare, train, evaluate, gate],
    sagemaker_session=session,
)

result = run_again_and_again(client, pipeline, role)
result["new data"] = retry_on_new_data(client, plain, pipeline, folder / "test.csv", scripts / "flights_evaluate.py")

# Approval deploys: a rule starts a second pipeline, which makes an endpoint of the approved version.
deployer = Lambda(
    function_name=f"{name}-deploy",
    execution_role_arn=role,
    script=str(scripts / "deploy_package.py"),
    handler="deploy_package.make_model",
    timeout=60,
    memory_size=256,
    runtime="python3.11",
)
package = ParameterString("ModelPackageArn")
model = LambdaStep(
    name="Model",
    lambda_func=deployer,
    inputs={"package": package, "name": name, "role": role},
    outputs=[LambdaOutput(output_name="model", output_type=LambdaOutputTypeEnum.String)],
)
variant = {
    "VariantName": "AllTraffic",
    "ModelName": model.properties.Outputs["model"],
    "InitialInstanceCount": 1,
    "InstanceType": instance,
}
config = EndpointConfigStep(
    name="Config", step_args=session.create_endpoint_config(name=f"{name}-config", production_variants=[variant])
)
endpoint = f"{name}-endpoint"
deploy = EndpointStep(
    name="Endpoint",
    step_args=session.create_endpoint(endpoint_name=endpoint, config_name=config.properties.EndpointConfigName),
)
deployment = Pipeline(
    name=f"{name}-deploy", parameters=[package], steps=[model, config, deploy], sagemaker_session=session
)
arn = deployment.upsert(role_arn=role)["PipelineArn"]
start_on_approval(events, name, arn, role)
status, steps = approve_latest(client, name, deployment.name)
runtime = session.boto_session.client("sagemaker-runtime")
result["deployment"] = {"status": status, "error": error_of(runtime, endpoint, folder / "test.csv")}

client.delete_endpoint(EndpointName=endpoint)
events.remove_targets(Rule=name, Ids=["1"])
events.delete_rule(Name=name)
deployment.delete()
pipeline.delete()
print(json.dumps(result))
