"""Pipelines and their versions."""

import json

import pytest

from clary.kernel.core.errors import AwsError
from clary.systems.pipelines.tests.conftest import ACCOUNT, REGION, ROLE, World, definition, fail, token


def test_a_pipeline_is_made_once_for_each_token_and_its_name_is_its_own(world: World) -> None:
    arn = world.create("churn", fail(), PipelineDescription="why they go", Tags=[{"Key": "team", "Value": "a"}])
    assert arn == f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/churn"
    assert world.create("churn", fail("Other")) == arn, "the token is the same: nothing is made"
    found = world.call("DescribePipeline", PipelineName=arn)
    assert json.loads(found["PipelineDefinition"])["Steps"][0]["Name"] == "End"
    assert (found["PipelineStatus"], found["RoleArn"]) == ("Active", ROLE)
    assert world.call("ListTags", ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "a"}]
    with pytest.raises(AwsError, match="already exists") as refused:
        world.create("churn", fail(), ClientRequestToken=token("another"))
    assert refused.value.code == "ValidationException"


def test_another_definition_is_the_next_version(world: World) -> None:
    arn = world.create("versions", fail())
    same = world.call("UpdatePipeline", PipelineName="versions", PipelineDescription="new words")
    assert same["PipelineVersionId"] == 1
    with pytest.raises(AwsError, match="only when the update changes the pipeline definition"):
        world.call("UpdatePipeline", PipelineName="versions", PipelineVersionAliases=["best"])
    second = definition(fail("Second"))
    changed = world.call(
        "UpdatePipeline", PipelineName="versions", PipelineDefinition=second, PipelineVersionAliases=["best"]
    )
    assert changed["PipelineVersionId"] == 2
    world.call(
        "UpdatePipelineVersion", PipelineArn=arn, PipelineVersionId=1, PipelineVersionDescription="the first",
        PipelineVersionDisplayName="one",
    )  # fmt: skip
    listed = world.call("ListPipelineVersions", PipelineName="versions")["PipelineVersionSummaries"]
    assert [each["PipelineVersionId"] for each in listed] == [2, 1]
    assert (listed[1]["PipelineVersionDescription"], listed[0]["PipelineVersionAliases"]) == ("the first", ["best"])
    one = world.call("DescribePipeline", PipelineName="versions", PipelineVersionId=1)
    assert (one["PipelineVersionDisplayName"], one["PipelineDescription"]) == ("one", "new words")
    best = world.call("DescribePipeline", PipelineName="versions", PipelineVersionAlias="best")
    assert best["PipelineDefinition"] == second
    taken = {"PipelineVersionAliasOperations": {"Add": ["best"]}}
    with pytest.raises(AwsError, match="belongs to version 2"):
        world.call("UpdatePipelineVersion", PipelineArn=arn, PipelineVersionId=1, **taken)
    with pytest.raises(AwsError, match="has no version 3"):
        world.call("DescribePipeline", PipelineName="versions", PipelineVersionId=3)


def test_a_definition_may_lie_in_s3_and_is_checked_wherever_it_is(world: World) -> None:
    world.platform.objects.buckets.create("definitions", ACCOUNT, REGION)
    world.platform.objects.put_bytes("definitions", "p.json", definition(fail("Stored")).encode())
    where = {"Bucket": "definitions", "ObjectKey": "p.json"}
    world.call(
        "CreatePipeline", PipelineName="stored", RoleArn=ROLE, ClientRequestToken=token("s"),
        PipelineDefinitionS3Location=where,
    )  # fmt: skip
    assert "Stored" in world.call("DescribePipeline", PipelineName="stored")["PipelineDefinition"]
    for wrong, said in (
        ({"PipelineDefinition": "{}"}, "Missing required member 'Steps'"),
        ({"PipelineDefinition": "{", "PipelineDefinitionS3Location": where}, "not both"),
        ({"PipelineDefinitionS3Location": {**where, "ObjectKey": "none"}}, "Unable to read the pipeline definition"),
        ({}, "Provide PipelineDefinition"),
    ):
        with pytest.raises(AwsError, match=said) as refused:
            world.call("CreatePipeline", PipelineName="wrong", RoleArn=ROLE, ClientRequestToken=token("w"), **wrong)
        assert refused.value.code == "ValidationException"
    tuning = {"Name": "Tune", "Type": "Tuning", "Arguments": {}}
    with pytest.raises(AwsError, match="Tuning"):
        world.create("tuned", tuning)


def test_pipelines_are_listed_searched_and_deleted(world: World) -> None:
    for name in ("a-one", "a-two", "b-one"):
        world.create(name, fail(), PipelineDescription=name)
        world.clock.advance(1)
    listed = world.call("ListPipelines", PipelineNamePrefix="a")["PipelineSummaries"]
    assert [each["PipelineName"] for each in listed] == ["a-two", "a-one"]
    expression = {"Filters": [{"Name": "PipelineDescription", "Value": "b-one"}]}
    [found] = world.call("Search", Resource="Pipeline", SearchExpression=expression)["Results"]
    assert found["Pipeline"]["PipelineName"] == "b-one"
    world.call("DeletePipeline", PipelineName="b-one", ClientRequestToken=token("d"))
    for operation in ("DescribePipeline", "ListPipelineVersions"):
        with pytest.raises(AwsError, match="does not exist") as refused:
            world.call(operation, PipelineName="b-one")
        assert refused.value.code == "ResourceNotFound"
