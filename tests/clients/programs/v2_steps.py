"""SageMaker SDK v2: a callback, a choice by list, a failure, selective execution, and what is refused at upsert.

No step of it is a job, so that it shows in seconds what waits, what runs and what is told.
"""

import json
import sys
import threading
import uuid

import sagemaker
from botocore.exceptions import ClientError
from executions import finish
from sagemaker.lambda_helper import Lambda
from sagemaker.workflow.callback_step import CallbackOutput, CallbackOutputTypeEnum, CallbackStep
from sagemaker.workflow.condition_step import ConditionStep
from sagemaker.workflow.conditions import ConditionGreaterThan, ConditionIn, ConditionNot
from sagemaker.workflow.fail_step import FailStep
from sagemaker.workflow.functions import Join
from sagemaker.workflow.lambda_step import LambdaOutput, LambdaOutputTypeEnum, LambdaStep
from sagemaker.workflow.parameters import ParameterInteger, ParameterString
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.selective_execution_config import SelectiveExecutionConfig

session = sagemaker.Session()
role = sagemaker.get_execution_role()
client, sqs = session.sagemaker_client, session.boto_session.client("sqs")
name = f"v2-steps-{uuid.uuid4().hex[:8]}"
queue = sqs.create_queue(QueueName=name)["QueueUrl"]

weight, airport = ParameterInteger("Weight", default_value=3), ParameterString("Airport", default_value="JFK")
function = Lambda(
    function_name=name,
    execution_role_arn=role,
    script=sys.argv[1],
    handler="weigh.handler",
    timeout=60,
    memory_size=256,
    runtime="python3.11",
)
weigh = LambdaStep(
    name="Weigh",
    lambda_func=function,
    inputs={"weight": weight},
    outputs=[LambdaOutput(output_name="doubled", output_type=LambdaOutputTypeEnum.Integer)],
)
ask = CallbackStep(
    name="Ask",
    sqs_queue_url=queue,
    inputs={"doubled": weigh.properties.Outputs["doubled"]},
    outputs=[CallbackOutput(output_name="answer", output_type=CallbackOutputTypeEnum.String)],
)
tell = LambdaStep(
    name="Tell",
    lambda_func=Lambda(
        function_arn=f"arn:aws:lambda:{session.boto_region_name}:{session.account_id()}:function:{name}"
    ),
    inputs={"weight": weigh.properties.Outputs["doubled"], "answer": ask.properties.Outputs["answer"]},
    outputs=[LambdaOutput(output_name="answer", output_type=LambdaOutputTypeEnum.String)],
)
refuse = FailStep(name="Refuse", error_message=Join(on=" ", values=["no flight from", airport]))
choose = ConditionStep(
    name="Choose",
    conditions=[
        ConditionNot(ConditionIn(value=airport, in_values=["LGA", "EWR"])),
        ConditionGreaterThan(left=weigh.properties.Outputs["doubled"], right=0),
    ],
    if_steps=[tell],
    else_steps=[refuse],
)
pipeline = Pipeline(name, parameters=[weight, airport], steps=[weigh, ask, choose], sagemaker_session=session)
pipeline.upsert(role_arn=role)


def answer(reply: str) -> dict:
    """Wait for the question of a callback step, and answer it; what it asked."""
    while not (messages := sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages")):
        threading.Event().wait(0.1)
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=messages[0]["ReceiptHandle"])
    asked = json.loads(messages[0]["Body"])
    client.send_pipeline_execution_step_success(
        CallbackToken=asked["token"], OutputParameters=[{"Name": "answer", "Value": reply}]
    )
    return asked["arguments"]


def output(steps: dict, step: str) -> str:
    return steps[step]["Metadata"]["Lambda"]["OutputParameters"][0]["Value"]


result = {}
first = pipeline.start()
result["asked"] = answer("yes")
status, steps = finish(client, first.arn)
result["first"] = {"status": status, "told": output(steps, "Tell")}

refused = pipeline.start(parameters={"Airport": "LGA"}, parallelism_config={"MaxParallelExecutionSteps": 1})
answer("no")
status, steps = finish(client, refused.arn)
result["refused"] = {"status": status, "reason": steps["Refuse"]["FailureReason"], "steps": sorted(steps)}

again = pipeline.start(
    parameters={"Weight": 5},
    selective_execution_config=SelectiveExecutionConfig(
        source_pipeline_execution_arn=first.arn, selected_steps=["Tell"]
    ),
)
status, steps = finish(client, again.arn)
reused = sorted(step for step in steps if "SelectiveExecutionResult" in steps[step])
result["selected"] = {"status": status, "told": output(steps, "Tell"), "reused": reused}


def refusal(steps: list) -> str:
    try:
        Pipeline(f"{name}-bad", steps=steps, sagemaker_session=session).upsert(role_arn=role)
    except (ClientError, ValueError) as error:
        return str(error)
    return ""


result["messages"] = [
    refusal([FailStep(name="Lost", error_message=Join(on=" ", values=["from", airport]))]),
    refusal([FailStep(name="Early", error_message="x", depends_on=["Nowhere"])]),
]
pipeline.delete()
function.delete()
sqs.delete_queue(QueueUrl=queue)
print(json.dumps(result))
