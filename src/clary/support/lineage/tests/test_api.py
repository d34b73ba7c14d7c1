"""Artifacts, actions, contexts, associations, groups: through the registry, as a client's calls go."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from clary.kernel.auth.policies import Permissions, compile_document
from clary.kernel.auth.principals import Principal
from clary.kernel.core.errors import AwsError
from clary.support.lineage import edges, pages
from clary.support.lineage.api import associations
from clary.support.lineage.tests.conftest import ACCOUNT, NOON, REGION, World

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:"


def refused(world: World, code: str, words: str, operation: str, **params: Any) -> None:
    with pytest.raises(AwsError, match=words) as error:
        world.call(operation, **params)
    assert error.value.code == code


def test_an_artifact_is_one_of_its_source(world: World) -> None:
    source = {"SourceUri": "s3://b/data", "SourceTypes": [{"SourceIdType": "S3ETag", "Value": "e"}]}
    made = world.call(
        "CreateArtifact", ArtifactName="Data", Source=source, ArtifactType="DataSet", Properties={"a": "1", "b": "2"},
        MetadataProperties={"CommitId": "c"}, Tags=[{"Key": "k", "Value": "v"}],
    )  # fmt: skip
    arn = made["ArtifactArn"]
    assert re.fullmatch(f"{ARN}artifact/[0-9a-f]{{32}}", arn)
    described = world.call("DescribeArtifact", ArtifactArn=arn)
    assert described == {
        "ArtifactName": "Data",
        "ArtifactArn": arn,
        "Source": source,
        "ArtifactType": "DataSet",
        "Properties": {"a": "1", "b": "2"},
        "CreationTime": NOON + 1,
        "CreatedBy": {"IamIdentity": {"Arn": f"arn:aws:iam::{ACCOUNT}:root", "PrincipalId": ACCOUNT}},
        "LastModifiedTime": NOON + 1,
        "LastModifiedBy": {"IamIdentity": {"Arn": f"arn:aws:iam::{ACCOUNT}:root", "PrincipalId": ACCOUNT}},
        "MetadataProperties": {"CommitId": "c"},
        "LineageGroupArn": f"{ARN}lineage-group/sagemaker-default-lineage-group",
    }
    assert world.call("ListTags", ResourceArn=arn)["Tags"] == [{"Key": "k", "Value": "v"}]
    again = {"Source": source, "ArtifactType": "Model"}
    refused(world, "ValidationException", f"already exists: {arn}", "CreateArtifact", **again)
    untyped = world.artifact("s3://b/data")
    assert untyped != arn
    assert len(world.call("ListArtifacts", SourceUri="s3://b/data")["ArtifactSummaries"]) == 2

    world.call("UpdateArtifact", ArtifactArn=arn, ArtifactName="Other", PropertiesToRemove=["a", "none"])
    world.call("UpdateArtifact", ArtifactArn=arn)
    changed = world.call("DescribeArtifact", ArtifactArn=arn)
    assert (changed["ArtifactName"], changed["Properties"]) == ("Other", {"b": "2"})
    assert changed["LastModifiedTime"] > changed["CreationTime"] == NOON + 1
    world.call("UpdateArtifact", ArtifactArn=arn, Properties={"c": "3"})
    assert world.call("DescribeArtifact", ArtifactArn=arn)["Properties"] == {"c": "3"}

    other = {"SourceUri": "s3://b/data", "SourceTypes": [{"SourceIdType": "S3ETag", "Value": "f"}]}
    refused(world, "ResourceNotFound", "does not exist", "DeleteArtifact", Source=other)
    refused(world, "ValidationException", "neither", "DeleteArtifact")
    refused(world, "ValidationException", "different", "DeleteArtifact", Source=source, ArtifactArn=untyped)
    assert world.call("DeleteArtifact", Source=source) == {"ArtifactArn": arn}
    uri = {"SourceUri": "s3://b/data"}
    assert world.call("DeleteArtifact", Source=uri, ArtifactArn=untyped) == {"ArtifactArn": untyped}
    refused(world, "ResourceNotFound", arn, "DescribeArtifact", ArtifactArn=arn)
    refused(world, "ResourceNotFound", arn, "UpdateArtifact", ArtifactArn=arn)
    assert world.call("CreateArtifact", **again) == {"ArtifactArn": arn}


def test_actions_and_contexts_are_known_by_name_or_arn(world: World) -> None:
    action = world.action("deploy", Status="InProgress", Description="d")
    assert action == f"{ARN}action/deploy"
    world.call("UpdateAction", ActionName="deploy", Status="Completed", Description="", Properties={"p": "q"})
    described = world.call("DescribeAction", ActionName=action)
    assert (described["Status"], described["Properties"]) == ("Completed", {"p": "q"})
    assert described == world.call("DescribeAction", ActionName="deploy")
    assert described["Source"] == {"SourceUri": "u", "SourceType": "ARN"}
    refused(
        world,
        "ValidationException",
        "already exists",
        "CreateAction",
        ActionName="deploy",
        ActionType="x",
        Source={"SourceUri": "u"},
    )

    context = world.context("home_1", Properties={"p": "q"})
    world.call("UpdateContext", ContextName="home_1", Description="words")
    described = world.call("DescribeContext", ContextName=context)
    assert (described["Description"], described["ContextType"]) == ("words", "Endpoint")
    assert "Status" not in described
    other = action.replace("action/", "artifact/")
    refused(world, "ValidationException", "of type 'artifact'", "DescribeAction", ActionName=other)
    refused(world, "ResourceNotFound", "context/none", "DescribeContext", ContextName="none")
    foreign = action.replace(ACCOUNT, "999999999999")
    refused(world, "AccessDeniedException", "999999999999", "DescribeAction", ActionName=foreign)
    refused(world, "ValidationException", "us-east-1", "DescribeAction", ActionName=action.replace(REGION, "us-east-1"))
    assert world.call("DeleteAction", ActionName="deploy") == {"ActionArn": action}
    assert world.call("DeleteContext", ContextName="home_1") == {"ContextArn": context}


def test_lists_are_newest_first_filtered_and_paged(world: World) -> None:
    arns = [world.artifact(f"s3://b/{number}", "Model" if number % 2 else "DataSet") for number in range(5)]

    def listed(**request: Any) -> list[str]:
        found, token = [], {}
        while True:
            page = world.call("ListArtifacts", MaxResults=2, **request, **token)
            found += [one["ArtifactArn"] for one in page["ArtifactSummaries"]]
            if "NextToken" not in page:
                return found
            token = {"NextToken": page["NextToken"]}

    assert listed() == arns[::-1]
    assert listed(SortOrder="Ascending", SortBy="CreationTime") == arns
    assert listed(ArtifactType="DataSet") == [arns[4], arns[2], arns[0]]
    assert listed(SourceUri="s3://b/3") == [arns[3]]
    assert listed(SourceUri="s3://b/3", ArtifactType="DataSet") == []
    assert listed(CreatedAfter=NOON + 2, CreatedBefore=NOON + 3) == [arns[2], arns[1]]
    for name in ("b", "c", "a"):
        world.action(name, uri=f"u-{name}")
    names = [
        one["ActionName"] for one in world.call("ListActions", SortBy="Name", SortOrder="Ascending")["ActionSummaries"]
    ]
    assert names == ["a", "b", "c"]
    assert [one["ActionName"] for one in world.call("ListActions", SourceUri="u-c")["ActionSummaries"]] == ["c"]
    world.context("x", "ModelGroup")
    assert world.call("ListContexts", ContextType="Endpoint")["ContextSummaries"] == []
    token = world.call("ListActions", MaxResults=1)["NextToken"]
    refused(world, "ValidationException", "token", "ListActions", MaxResults=1, SortBy="Name", NextToken=token)


def test_associations_are_found_from_both_ends(world: World) -> None:
    data, model = world.artifact("s3://b/data"), world.artifact("s3://b/model", "Model", ArtifactName="m")
    action, context = world.action("deploy"), world.context("home")
    world.associate(data, model, "DerivedFrom")
    world.associate(model, action)
    world.call("AddAssociation", SourceArn=action, DestinationArn=context)
    (one,) = world.call("ListAssociations", SourceArn=data)["AssociationSummaries"]
    assert one == {
        "SourceArn": data,
        "DestinationArn": model,
        "SourceType": "DataSet",
        "DestinationType": "Model",
        "AssociationType": "DerivedFrom",
        "SourceName": None,
        "DestinationName": "m",
        "CreationTime": NOON + 5,
        "CreatedBy": {"IamIdentity": {"Arn": f"arn:aws:iam::{ACCOUNT}:root", "PrincipalId": ACCOUNT}},
    }

    def sources(**request: Any) -> list[str]:
        return [found["SourceArn"] for found in world.call("ListAssociations", **request)["AssociationSummaries"]]

    assert sources() == [action, model, data]
    assert sources(DestinationArn=action) == [model]
    assert sources(SourceArn=model, DestinationArn=action) == [model]
    assert sources(SourceArn=model, DestinationArn=context) == []
    assert sources(SourceType="Model") == sources(DestinationType="ModelDeployment") == [model]
    assert sources(AssociationType="DerivedFrom") == [data]
    assert sources(CreatedAfter=NOON + 6, SortOrder="Ascending") == [model, action]
    assert sources(SortBy="SourceType", SortOrder="Ascending") == [data, model, action]
    assert sources(SortBy="DestinationArn") == sorted(
        [action, model, data], key={action: 2, model: 0, data: 1}.get, reverse=True
    )
    page = world.call("ListAssociations", SortBy="SourceType", MaxResults=2)
    assert [found["SourceArn"] for found in page["AssociationSummaries"]] == [action, model]
    rest = world.call("ListAssociations", SortBy="SourceType", MaxResults=2, NextToken=page["NextToken"])
    assert [found["SourceArn"] for found in rest["AssociationSummaries"]] == [data]

    refused(world, "ValidationException", "already exists", "AddAssociation", SourceArn=data, DestinationArn=model)
    refused(world, "ValidationException", "itself", "AddAssociation", SourceArn=data, DestinationArn=data)
    gone = f"{ARN}artifact/none"
    refused(world, "ResourceNotFound", "artifact/none", "AddAssociation", SourceArn=data, DestinationArn=gone)
    one, other = (f"{ARN}experiment-trial-component/{name}-aws-training-job" for name in "ab")
    refused(world, "ValidationException", "two experiment", "AddAssociation", SourceArn=one, DestinationArn=other)
    refused(world, "ResourceNotFound", "a-aws-training-job", "AddAssociation", SourceArn=one, DestinationArn=data)
    refused(world, "ValidationException", "has associations", "DeleteArtifact", ArtifactArn=model)
    world.call("DeleteAssociation", SourceArn=model, DestinationArn=action)
    refused(world, "ResourceNotFound", "no association", "DeleteAssociation", SourceArn=model, DestinationArn=action)
    world.call("DeleteAssociation", SourceArn=data, DestinationArn=model)
    world.call("DeleteArtifact", ArtifactArn=model)


def test_queries_go_along_associations(world: World) -> None:
    data, model = world.artifact("s3://b/data"), world.artifact("s3://b/model", "Model", Properties={"p": "q"})
    action, context = world.action("deploy"), world.context("home")
    for source, destination in ((data, model), (model, action), (action, context)):
        world.associate(source, destination)

    def asked(start: str, direction: str, **request: Any) -> list[tuple[str, str]]:
        answer = world.call("QueryLineage", StartArns=[start], Direction=direction, IncludeEdges=False, **request)
        assert answer["Edges"] == []
        return [(one["LineageType"], one["Type"]) for one in answer["Vertices"]]

    everything = [("Action", "ModelDeployment"), ("Artifact", "Model"), ("Artifact", "DataSet")]
    assert asked(context, "Ascendants") == everything
    assert asked(context, "Descendants") == []
    assert asked(context, "Ascendants", MaxDepth=2) == everything[:2]
    assert asked(context, "Both", Filters={"Types": ["DataSet"]}) == everything[2:]
    assert asked(context, "Both", Filters={"LineageTypes": ["Action", "Context"]}) == everything[:1]
    assert asked(context, "Both", Filters={"Properties": {"p": "q", "x": "y"}}) == everything[1:2]
    assert asked(context, "Both", Filters={"Properties": {"p": "other"}}) == []
    assert asked(context, "Both", Filters={"CreatedBefore": NOON + 2}) == everything[1:]
    assert asked(context, "Both", Filters={"CreatedAfter": NOON + 2, "ModifiedBefore": NOON + 2}) == everything[1:2]
    whole = world.call("QueryLineage", StartArns=[data], Direction="Descendants")
    assert [one["Arn"] for one in whole["Vertices"]] == [data, model, action, context]
    assert len(whole["Edges"]) == 3
    first = world.call("QueryLineage", StartArns=[data], Direction="Descendants", MaxResults=1)
    assert [one["Arn"] for one in first["Vertices"]] == [data, model]
    assert first["Edges"] == [{"SourceArn": data, "DestinationArn": model, "AssociationType": "ContributedTo"}]
    rest = world.call("QueryLineage", StartArns=[data], Direction="Descendants", NextToken=first["NextToken"])
    assert ([one["Arn"] for one in rest["Vertices"]], len(rest["Edges"])) == ([action, context], 2)
    path = world.call("QueryLineage", StartArns=[data], Direction="Descendants", Filters={"Types": ["Endpoint"]})
    assert (len(path["Vertices"]), len(path["Edges"])) == (4, 3), "what is asked for, and the path to it"
    refused(world, "ResourceNotFound", "context/none", "QueryLineage", StartArns=[f"{ARN}context/none"])
    refused(world, "ValidationException", "StartArns", "QueryLineage")
    refused(world, "ValidationException", "MaxDepth", "QueryLineage", StartArns=[data], MaxDepth=0)
    refused(world, "ValidationException", "token", "QueryLineage", StartArns=[data], NextToken="x")


@pytest.mark.parametrize("direction", ["Ascendants", "Descendants", "Both"])
def test_pages_of_a_query_are_together_what_one_page_is(world: World, direction: str) -> None:
    hub = world.artifact("hub", "Image")
    for number in range(12):
        other, action = world.artifact(f"s3://b/{number}"), world.action(f"a{number}")
        world.associate(other, hub)
        world.associate(hub, action)
        world.associate(action, hub)
        world.associate(other, action)
    asked = {"StartArns": [hub], "Direction": direction}
    whole = world.call("QueryLineage", **asked)
    assert len(whole["Vertices"]) == (25 if direction != "Descendants" else 13)
    vertices, along, token = [], [], {}
    while True:
        page = world.call("QueryLineage", **asked, MaxResults=5, **token)
        vertices += page["Vertices"]
        along += page["Edges"]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert vertices == whole["Vertices"]
    ends = [sorted((edge["SourceArn"], edge["DestinationArn"]) for edge in found) for found in (along, whole["Edges"])]
    assert ends[0] == ends[1]
    assert len(set(ends[0])) == len(ends[0]) == {"Ascendants": 48, "Descendants": 24, "Both": 48}[direction]


def test_lists_read_a_bounded_number_of_records_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rare = world.artifact("s3://b/rare", "Rare")
    data = [world.artifact(f"s3://b/{number}") for number in range(9)]
    for one in data:
        world.associate(one, rare)
    monkeypatch.setattr(pages, "_READ_AT_ONCE", 2)
    monkeypatch.setattr(pages, "_READ_AT_MOST", 4)
    found, sizes, token = [], [], {}
    while True:
        page = world.call("ListArtifacts", ArtifactType="Rare", **token)
        found += [one["ArtifactArn"] for one in page["ArtifactSummaries"]]
        sizes.append(len(page["ArtifactSummaries"]))
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert (found, sizes) == ([rare], [0, 0, 1])
    monkeypatch.setattr(associations, "_SORTED_AT_MOST", 8)
    refused(world, "ValidationException", "More than 8 associations", "ListAssociations", SortBy="SourceArn")
    assert len(world.call("ListAssociations", SortBy="SourceArn", SourceArn=data[0])["AssociationSummaries"]) == 1


def test_an_association_that_is_added_while_its_end_goes_goes_with_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, action = world.artifact("s3://b/data"), world.action("deploy")
    touching, seen = edges.touching, [False]

    def late(*asked: Any, **how: Any) -> Any:
        if not seen[0]:
            seen[0] = True
            world.associate(data, action)
            return []
        return touching(*asked, **how)

    monkeypatch.setattr(edges, "touching", late)
    world.call("DeleteArtifact", ArtifactArn=data)
    assert world.call("ListAssociations")["AssociationSummaries"] == []


def test_there_is_one_lineage_group(world: World) -> None:
    name = "sagemaker-default-lineage-group"
    described = world.call("DescribeLineageGroup", LineageGroupName=name)
    assert described["LineageGroupArn"] == f"{ARN}lineage-group/{name}"
    (listed,) = world.call("ListLineageGroups")["LineageGroupSummaries"]
    assert listed["CreationTime"] == described["CreationTime"] == NOON + 1
    assert world.call("ListLineageGroups", CreatedBefore=NOON)["LineageGroupSummaries"] == []
    for given in (name, described["LineageGroupArn"]):
        refused(world, "ResourceNotFound", "not shared", "GetLineageGroupPolicy", LineageGroupName=given)
    refused(world, "ResourceNotFound", "'other'", "DescribeLineageGroup", LineageGroupName="other")


def test_who_associates_must_be_allowed_at_both_ends(world: World) -> None:
    data, action = world.artifact("s3://b/data"), world.action("deploy")
    params = {"SourceArn": data, "DestinationArn": action}

    def attempt(*resources: str) -> None:
        policy = json.dumps({"Statement": {"Effect": "Allow", "Action": "sagemaker:*", "Resource": list(resources)}})
        ada = Principal("user", ACCOUNT, name="ada", permissions=Permissions((compile_document(policy, "p"),)))
        ctx = world.platform.acting_as_root(ACCOUNT, REGION, "sagemaker", "AddAssociation")
        world.platform.registry.call(replace(ctx, principal=ada), params)

    for allowed in (data, action):
        with pytest.raises(AwsError, match="not authorized"):
            attempt(allowed)
    attempt(data, action)
