"""Lineage steps, whose entities later steps refer to, and malformed definitions as CreatePipeline refuses them."""

import json

import pytest

from clary.kernel.core.errors import AwsError
from clary.systems.pipelines.tests.conftest import ROLE, World, definition, fail, get, model, parameter, token


def recording(**ends):
    """A step that records an action, and a model at the URI of a parameter, which it produced."""
    association = {
        "Source": {"Name": "run", "Type": "Action"},
        "Destination": {"Name": "weights", "Type": "Artifact"},
        "AssociationType": "Produced",
    }
    arguments = {
        "Actions": [{"ActionName": "run", "ActionType": "Training", "Source": {"SourceUri": "s3://code/main"}}],
        "Artifacts": [
            {"ArtifactName": "weights", "ArtifactType": "Model", "Source": {"SourceUri": get("Parameters.Model")}}
        ],
        "Associations": [{**association, **ends}],
    }
    return {"Name": "Record", "Type": "Lineage", "Arguments": arguments}


def test_lineage_is_recorded_once_however_often_the_pipeline_runs(world: World) -> None:
    told = fail("Tell", {"Std:Join": {"Values": ["made ", get("Steps.Record.ArtifactArns['weights']")]}})
    world.create("records", recording(), told, parameters=[parameter("Model", default="s3://models/one")])
    first, second = world.steps(world.run("records")), world.steps(world.run("records", 2))
    metadata = first["Record"]["Metadata"]["Lineage"]
    action, artifact = metadata["ActionArns"]["run"], metadata["ArtifactArns"]["weights"]
    assert metadata["Associations"] == [{"SourceArn": action, "DestinationArn": artifact}]
    assert second["Record"]["Metadata"]["Lineage"] == metadata
    assert first["Tell"]["FailureReason"].endswith(f"made {artifact}")
    [found] = world.call("ListAssociations", SourceArn=action)["AssociationSummaries"]
    assert (found["DestinationArn"], found["AssociationType"]) == (artifact, "Produced")
    assert world.call("DescribeArtifact", ArtifactArn=artifact)["Source"]["SourceUri"] == "s3://models/one"
    other = world.run("records", 3, PipelineParameters=[{"Name": "Model", "Value": "s3://models/two"}])
    assert world.steps(other)["Record"]["Metadata"]["Lineage"]["ArtifactArns"]["weights"] != artifact


def test_an_association_with_what_is_not_there_fails_the_step(world: World) -> None:
    end = {"Arn": "arn:aws:sagemaker:us-east-1:000000000000:artifact/00000000000000000000000000000000"}
    world.create("dangles", recording(Destination=end), parameters=[parameter("Model", default="s3://models/one")])
    arn = world.run("dangles")
    assert world.status(arn) == "Failed"
    assert "AddAssociation" in world.steps(arn)["Record"]["FailureReason"]


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (
            [recording(Source={"Name": "else", "Type": "Action"})],
            r"makes no Action named 'else'.*Associations\[0\].Source",
        ),
        ([recording(Source={"Name": "run"})], "either Arn, or Name and Type"),
        ([{"Name": "Record", "Type": "Lineage", "Arguments": {}}], "needs an entity or an association"),
        (
            [{"Name": "Record", "Type": "Lineage", "Arguments": {"Contexts": [{"ContextName": "c"}]}}],
            r"Missing required Argument member 'Source' \(step 'Record', at Steps\[0\].Arguments.Contexts\[0\]\)",
        ),
        ([model("One", "Two"), model("Two", "One")], "Steps wait for each other: One -> Two -> One"),
        ([model("One", Retry=1)], r"Unknown Model step member 'Retry'.*step 'One', at Steps\[0\]"),
        ([fail(message=get("Steps.None.Status"))], r"Unknown step 'None' \(step 'End', at Steps\[0\].Arguments"),
        ([{"Name": "Tune", "Type": "EMR", "Arguments": {}}], "type EMR are not supported by Clary"),
    ],
)
def test_create_pipeline_says_where_a_definition_is_wrong(world: World, steps, says) -> None:
    text = definition(*steps, parameters=[parameter("Model", default="s3://models/one")])
    request = {"RoleArn": ROLE, "ClientRequestToken": token("wrong"), "PipelineDefinition": text}
    with pytest.raises(AwsError, match=rf"Unable to parse pipeline definition\. .*{says}") as refused:
        world.call("CreatePipeline", PipelineName="wrong", **request)
    assert refused.value.code == "ValidationException"
    with pytest.raises(AwsError, match="does not exist"):
        world.call("DescribePipeline", PipelineName="wrong")
    assert json.loads(text)["Steps"]
