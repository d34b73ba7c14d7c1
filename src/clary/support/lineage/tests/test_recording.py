"""What jobs and endpoints do is recorded by itself, once."""

from typing import Any

from clary.support.lineage.tests.conftest import ACCOUNT, NOON, REGION, ROLE, World

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
MODEL = "s3://data/out/job/output/model.tar.gz"


def train(world: World, name: str = "job", **members: Any) -> None:
    world.call(
        "CreateTrainingJob", TrainingJobName=name, RoleArn=ROLE,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        InputDataConfig=[
            {"ChannelName": channel, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://data/{channel}"}}}
            for channel in ("train", "validation")
        ],
        OutputDataConfig={"S3OutputPath": "s3://data/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
        **members,
    )  # fmt: skip


def complete(world: World, name: str = "job") -> None:
    world.become("training_job", name, status="Completed", artifacts=MODEL.replace("job", name))


def deploy(world: World, config: str = "config", url: str = MODEL) -> None:
    world.platform.objects.put_bytes("data", url.removeprefix("s3://data/"), b"")
    world.call(
        "CreateModel", ModelName=config, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE, "ModelDataUrl": url}
    )
    variant = {"VariantName": "v", "ModelName": config, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    world.call("CreateEndpointConfig", EndpointConfigName=config, ProductionVariants=[variant])


TRAINED = {
    (IMAGE, "ContributedTo", "job-aws-training-job"),
    ("s3://data/train", "ContributedTo", "job-aws-training-job"),
    ("s3://data/validation", "ContributedTo", "job-aws-training-job"),
    ("job-aws-training-job", "Produced", MODEL),
}


def test_a_training_job_is_recorded_as_it_begins_and_as_it_ends(world: World) -> None:
    train(world, CheckpointConfig={"S3Uri": "s3://data/checkpoints"})
    world.observe()
    begun = {edge for edge in TRAINED if edge[1] != "Produced"}
    assert world.edges() == begun
    complete(world)
    world.observe()
    assert world.edges() == TRAINED | {("job-aws-training-job", "Produced", "s3://data/checkpoints")}
    (model,) = world.call("ListArtifacts", SourceUri=MODEL)["ArtifactSummaries"]
    described = world.call("DescribeArtifact", ArtifactArn=model["ArtifactArn"])
    assert (described["ArtifactType"], described["CreatedBy"]) == ("Model", {})
    found = world.call("ListAssociations", DestinationArn=model["ArtifactArn"], SourceType="SageMakerTrainingJob")
    assert [one["SourceName"] for one in found["AssociationSummaries"]] == ["job-aws-training-job"]
    job = found["AssociationSummaries"][0]["SourceArn"]
    assert job == f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:experiment-trial-component/job-aws-training-job"
    answer = world.call("QueryLineage", StartArns=[model["ArtifactArn"]], Direction="Ascendants", MaxDepth=1)
    assert answer["Vertices"][1] == {"Arn": job, "Type": "TrainingJob", "LineageType": "TrialComponent"}
    world.associate(job, world.context("mine"))
    world.call("DeleteTrainingJob", TrainingJobName="job")
    took = world.call("QueryLineage", StartArns=[job], Direction="Ascendants", MaxDepth=1)
    assert len(took["Edges"]) == 3, "what a job took is known when the job is gone"
    late = {"Types": ["TrainingJob"], "CreatedAfter": NOON + 100}
    assert world.call("QueryLineage", StartArns=[model["ArtifactArn"]], Filters=late)["Edges"] == []


def test_what_is_told_again_or_known_already_is_not_recorded_twice(world: World) -> None:
    mine = world.artifact("s3://data/train", "Curated", ArtifactName="mine")
    for name in ("job", "next"):
        train(world, name)
    world.observe()
    complete(world)
    world.become("training_job", "job", status="InProgress")  # told anew, as if nobody had been told
    world.become("training_job", "job", status="Completed")
    world.observe()
    complete(world, "next")
    world.observe()
    edges = world.edges()
    assert edges >= TRAINED
    assert len(edges) == 2 * len(TRAINED)
    (kept,) = world.call("ListArtifacts", SourceUri="s3://data/train")["ArtifactSummaries"]
    assert (kept["ArtifactArn"], kept["ArtifactType"], kept["ArtifactName"]) == (mine, "Curated", "mine")
    types = {one["SourceType"] for one in world.call("ListAssociations", SourceArn=mine)["AssociationSummaries"]}
    assert types == {"Curated"}


def test_many_changes_are_one_write(world: World) -> None:
    for number in range(20):
        train(world, f"job{number}")
    writes = 0
    apply = world.platform.store.apply

    def counted(changes: Any) -> Any:
        nonlocal writes
        writes += 1
        return apply(changes)

    world.platform.store.apply = counted  # type: ignore[method-assign]
    world.observe()
    assert writes == 2, "the lineage, and that the changes were taken"
    assert len(world.edges()) == 60


def test_a_transform_job_has_a_model_and_data_that_it_produced(world: World) -> None:
    deploy(world)
    place = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/in"}}
    world.call(
        "CreateTransformJob", TransformJobName="t", ModelName="config", TransformInput={"DataSource": place},
        TransformOutput={"S3OutputPath": "s3://data/scores"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )  # fmt: skip
    world.become("transform_job", "t", status="Completed")
    world.observe()
    assert world.edges() == {
        (IMAGE, "ContributedTo", "t-aws-transform-job"),
        (MODEL, "ContributedTo", "t-aws-transform-job"),
        ("s3://data/in", "ContributedTo", "t-aws-transform-job"),
        ("t-aws-transform-job", "Produced", "s3://data/scores"),
    }


def test_a_processing_job_produces_what_a_training_job_may_take(world: World) -> None:
    place = {"S3DataType": "S3Prefix", "S3InputMode": "File", "LocalPath": "/opt/ml/processing/input"}
    output = {"S3Uri": "s3://data/train", "LocalPath": "/opt/ml/processing/train", "S3UploadMode": "EndOfJob"}
    world.call(
        "CreateProcessingJob", ProcessingJobName="p", RoleArn=ROLE, AppSpecification={"ImageUri": IMAGE},
        ProcessingInputs=[{"InputName": "raw", "S3Input": {"S3Uri": "s3://data/raw", **place}}],
        ProcessingOutputConfig={"Outputs": [{"OutputName": "train", "S3Output": output}]},
        ProcessingResources={
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        },
    )  # fmt: skip
    world.become("processing_job", "p", status="Completed")
    train(world)
    complete(world)
    world.observe()
    assert world.edges() - TRAINED == {
        (IMAGE, "ContributedTo", "p-aws-processing-job"),
        ("s3://data/raw", "ContributedTo", "p-aws-processing-job"),
        ("p-aws-processing-job", "Produced", "s3://data/train"),
    }
    (model,) = world.call("ListArtifacts", SourceUri=MODEL)["ArtifactSummaries"]
    asked = {"StartArns": [model["ArtifactArn"]], "Direction": "Ascendants", "IncludeEdges": False}
    jobs = world.call("QueryLineage", **asked, Filters={"LineageTypes": ["TrialComponent"]})["Vertices"]
    assert [one["Type"] for one in jobs] == ["TrainingJob", "ProcessingJob"]


def test_versions_of_a_model_belong_to_their_group_and_have_approvals(world: World) -> None:
    world.platform.objects.put_bytes("data", MODEL.removeprefix("s3://data/"), b"")
    container = {"Image": IMAGE, "ModelDataUrl": MODEL}
    specification = {
        "Containers": [container], "SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"],
    }  # fmt: skip
    world.call("CreateModelPackageGroup", ModelPackageGroupName="g")
    arn = world.call("CreateModelPackage", ModelPackageGroupName="g", InferenceSpecification=specification)[
        "ModelPackageArn"
    ]
    for status in ("Approved", "Rejected", "Approved"):
        world.call("UpdateModelPackage", ModelPackageArn=arn, ModelApprovalStatus=status, ApprovalDescription="why")
    stage = {"Stage": "Production", "StageStatus": "Ready"}
    world.call("UpdateModelPackage", ModelPackageArn=arn, ModelLifeCycle=stage)
    world.observe()
    world.become("model_package", "g/1", status="Failed")  # told of once more, and nothing was approved
    world.observe()
    approvals = world.call("ListActions", SourceUri=arn, SortBy="Name", SortOrder="Ascending")["ActionSummaries"]
    names = [one["ActionName"] for one in approvals]
    assert [name.split("-")[2] for name in names] == ["Approved", "Approved", "PendingManualApproval", "Rejected"]
    described = world.call("DescribeAction", ActionName=names[-1])
    assert (described["ActionType"], described["Status"]) == ("Approval", "Completed")
    assert described["Properties"] == {"ModelApprovalStatus": "Rejected", "ApprovalDescription": "why"}
    (group,) = world.call("ListContexts", ContextType="ModelGroup")["ContextSummaries"]
    assert world.edges() == {
        (IMAGE, "ContributedTo", arn),
        (MODEL, "ContributedTo", arn),
        *((name, "ContributedTo", arn) for name in names),
        (arn, "AssociatedWith", group["ContextName"]),
    }
    world.become("model_package", "g/1", status="Completed")
    world.call("CreateModel", ModelName="packaged", ExecutionRoleArn=ROLE, PrimaryContainer={"ModelPackageName": arn})
    variant = {"VariantName": "v", "ModelName": "packaged", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    world.call("CreateEndpointConfig", EndpointConfigName="packaged", ProductionVariants=[variant])
    world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="packaged")
    world.become("endpoint", "e", status="InService")
    world.observe()
    (package,) = world.call("ListArtifacts", SourceUri=arn)["ArtifactSummaries"]
    found = world.call("ListAssociations", SourceArn=package["ArtifactArn"], DestinationType="ModelDeployment")
    assert len(found["AssociationSummaries"]) == 1


def test_an_endpoint_that_serves_is_a_context_and_its_deployments_are_actions(world: World) -> None:
    train(world)
    complete(world)
    deploy(world)
    tags = [
        {"Key": "sagemaker:pipeline-execution-arn", "Value": "arn:execution"},
        {"Key": "sagemaker:pipeline-step-name", "Value": "Deploy"},
    ]
    world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="config", Tags=tags)
    world.observe()
    assert world.call("ListContexts")["ContextSummaries"] == [], "it does not serve yet"
    world.become("endpoint", "e", status="InService")
    world.observe()
    world.become("endpoint", "e", status="Updating")
    world.become("endpoint", "e", status="InService")  # other weights, the same configuration
    world.observe()
    arn = world.call("DescribeEndpoint", EndpointName="e")["EndpointArn"]
    (listed,) = world.call("ListContexts", SourceUri=arn)["ContextSummaries"]
    context = world.call("DescribeContext", ContextName=listed["ContextName"])
    assert context["ContextType"] == "Endpoint"
    assert context["Source"] == {"SourceUri": arn, "SourceType": "ARN", "SourceId": "Tue Nov 14 22:13:24 UTC 2023"}
    assert context["Properties"] == {
        "Status": "Completed", "PipelineExecutionArn": "arn:execution", "PipelineStepName": "Deploy",
    }  # fmt: skip
    (action,) = world.call("ListActions", SourceUri=arn, ActionType="ModelDeployment")["ActionSummaries"]
    assert world.edges() - TRAINED == {
        (IMAGE, "ContributedTo", action["ActionName"]),
        (MODEL, "ContributedTo", action["ActionName"]),
        (action["ActionName"], "AssociatedWith", context["ContextName"]),
    }
    asked = {"StartArns": [context["ContextArn"]], "Direction": "Ascendants", "IncludeEdges": False}
    data = world.call("QueryLineage", **asked, Filters={"Types": ["DataSet"], "LineageTypes": ["Artifact"]})
    assert {world.label(one["Arn"]) for one in data["Vertices"]} == {"s3://data/train", "s3://data/validation"}

    deploy(world, "second", "s3://data/other.tar.gz")
    world.become("endpoint", "e", status="Updating")
    world.become("endpoint", "e", status="InService", config="second")
    world.call("DeleteModel", ModelName="second")
    world.observe()
    assert len(world.call("ListActions", SourceUri=arn)["ActionSummaries"]) == 2
    assert len(world.call("ListContexts", SourceUri=arn)["ContextSummaries"]) == 1
