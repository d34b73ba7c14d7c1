"""SageMaker SDK v2: the canonical pipeline over flights, run again and again; an approval starts one that deploys.

Process, train, evaluate; a condition on the error; register and transform, or fail.
"""

import json
import sys
import uuid
from pathlib import Path

import sagemaker
from executions import approve_latest, start_on_approval
from flights import error_of, retry_on_new_data, run_again_and_again
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.lambda_helper import Lambda
from sagemaker.model import Model
from sagemaker.model_metrics import MetricsSource, ModelMetrics
from sagemaker.processing import ProcessingInput, ProcessingOutput, ScriptProcessor
from sagemaker.sklearn.processing import SKLearnProcessor
from sagemaker.transformer import Transformer
from sagemaker.workflow.condition_step import ConditionStep
from sagemaker.workflow.conditions import ConditionLessThanOrEqualTo
from sagemaker.workflow.fail_step import FailStep
from sagemaker.workflow.functions import Join, JsonGet
from sagemaker.workflow.lambda_step import LambdaOutput, LambdaOutputTypeEnum, LambdaStep
from sagemaker.workflow.model_step import ModelStep
from sagemaker.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.properties import PropertyFile
from sagemaker.workflow.steps import CacheConfig, ProcessingStep, TrainingStep, TransformStep

folder, scripts = Path(sys.argv[1]), Path(__file__).parent / "scripts"
name = f"v2-flights-{uuid.uuid4().hex[:8]}"
plain = sagemaker.Session()
session = PipelineSession()
role = sagemaker.get_execution_role()
client, events = session.sagemaker_client, session.boto_session.client("events")
bucket = session.default_bucket()
cache = CacheConfig(enable_caching=True, expire_after="P1D")
image = sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1")
instance = "ml.m5.large"

data = ParameterString("InputData", default_value=plain.upload_data(str(folder / "train.csv"), key_prefix=f"{name}/a"))
judges = ParameterString("Judges", default_value=f"s3://{bucket}/{name}/judges")
depth = ParameterInteger("MaxDepth", default_value=3)
threshold = ParameterFloat("MseThreshold", default_value=1000.0)
plain.upload_data(str(scripts / "flights_evaluate.py"), key_prefix=f"{name}/judges")

prepared = {part: f"/opt/ml/processing/{part}" for part in ("train", "validation", "test", "batch")}
prepare = ProcessingStep(
    name="PrepareFlights",
    step_args=SKLearnProcessor(
        framework_version="1.2-1", instance_type=instance, instance_count=1, role=role, sagemaker_session=session
    ).run(
        code=str(scripts / "flights_prepare.py"),
        inputs=[ProcessingInput(source=data, destination="/opt/ml/processing/input")],
        outputs=[ProcessingOutput(output_name=part, source=path) for part, path in prepared.items()],
        arguments=["--held-out", "0.2"],
    ),
    cache_config=cache,
)
made = prepare.properties.ProcessingOutputConfig.Outputs

estimator = Estimator(
    image,
    role,
    instance_type=instance,
    instance_count=1,
    output_path=f"s3://{bucket}/{name}/models",
    sagemaker_session=session,
    hyperparameters={"objective": "reg:squarederror", "num_round": 10, "max_depth": depth},
)
train = TrainingStep(
    name="TrainFlights",
    step_args=estimator.fit(
        {
            part: TrainingInput(s3_data=made[part].S3Output.S3Uri, content_type="text/csv")
            for part in ("train", "validation")
        }
    ),
    cache_config=cache,
)
artifact = train.properties.ModelArtifacts.S3ModelArtifacts

report = PropertyFile(name="Evaluation", output_name="evaluation", path="evaluation.json")
evaluator = ScriptProcessor(
    image_uri=image,
    command=["python3"],
    instance_type=instance,
    instance_count=1,
    role=role,
    base_job_name="judge-flights",
    sagemaker_session=session,
)
evaluate = ProcessingStep(
    name="EvaluateFlights",
    step_args=evaluator.run(
        code=str(scripts / "flights_evaluate.py"),
        inputs=[
            ProcessingInput(source=artifact, destination="/opt/ml/processing/model"),
            ProcessingInput(source=made["test"].S3Output.S3Uri, destination="/opt/ml/processing/test"),
            ProcessingInput(source=judges, destination="/opt/ml/processing/judges"),
        ],
        outputs=[ProcessingOutput(output_name="evaluation", source="/opt/ml/processing/evaluation")],
    ),
    property_files=[report],
    cache_config=cache,
)

model = Model(image_uri=image, model_data=artifact, role=role, sagemaker_session=session)
statistics = Join(
    on="/",
    values=[evaluate.properties.ProcessingOutputConfig.Outputs["evaluation"].S3Output.S3Uri, "evaluation.json"],
)
register = ModelStep(
    name="RegisterFlights",
    step_args=model.register(
        content_types=["text/csv"],
        response_types=["text/csv"],
        inference_instances=[instance],
        transform_instances=[instance],
        model_package_group_name=name,
        approval_status="PendingManualApproval",
        model_metrics=ModelMetrics(model_statistics=MetricsSource("application/json", statistics)),
    ),
)
create = ModelStep(name="CreateFlights", step_args=model.create(instance_type=instance))
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

# Approval deploys: a rule starts a second pipeline, whose function makes an endpoint of the approved version.
deployer = Lambda(
    function_name=f"{name}-deploy",
    execution_role_arn=role,
    script=str(scripts / "deploy_package.py"),
    handler="deploy_package.deploy",
    timeout=60,
    memory_size=256,
    runtime="python3.11",
)
package = ParameterString("ModelPackageArn")
deploy = LambdaStep(
    name="Deploy",
    lambda_func=deployer,
    inputs={"package": package, "name": name, "role": role},
    outputs=[LambdaOutput(output_name="endpoint", output_type=LambdaOutputTypeEnum.String)],
)
deployment = Pipeline(name=f"{name}-deploy", parameters=[package], steps=[deploy], sagemaker_session=session)
arn = deployment.upsert(role_arn=role)["PipelineArn"]
start_on_approval(events, name, arn, role)
status, steps = approve_latest(client, name, deployment.name)
endpoint = steps["Deploy"]["Metadata"]["Lambda"]["OutputParameters"][0]["Value"]
client.get_waiter("endpoint_in_service").wait(EndpointName=endpoint, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
runtime = session.sagemaker_runtime_client
result["deployment"] = {"status": status, "error": error_of(runtime, endpoint, folder / "test.csv")}

client.delete_endpoint(EndpointName=endpoint)
events.remove_targets(Rule=name, Ids=["1"])
events.delete_rule(Name=name)
deployment.delete()
pipeline.delete()
print(json.dumps(result))
