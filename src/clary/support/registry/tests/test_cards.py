"""Model cards: content after AWS's schema, versions, status, Search, deletion; cards of packages; exports as PDF."""

import json
import re
import zlib
from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.support.registry.contents import check_content
from clary.support.registry.exporting import CannotExport, document
from clary.support.registry.reconcile.exports import reconcile
from clary.support.registry.schema import PACKAGE_CARD
from clary.support.registry.tests.conftest import ACCOUNT, BUCKET, REGION, Packages, arn

CARD = {
    "model_overview": {
        "model_id": "flights",
        "model_name": "Flights",
        "model_version": 2,
        "model_artifact": ["s3://a/b"],
    },
    "intended_uses": {"purpose_of_model": "Minutes in the air: für alle, для всех", "risk_rating": "Low"},
    "business_details": {"business_problem": "Delays", "line_of_business": None},
    "training_details": {
        "objective_function": {"function": {"function": "Minimize", "facet": "RMSE"}, "notes": "few"},
        "training_job_details": {
            "training_metrics": [{"name": "rmse", "value": 9.4}],
            "hyper_parameters": [{"name": "max_depth", "value": "4"}],
        },
    },
    "evaluation_details": [
        {
            "name": "test set",
            "metadata": {"rows": "2400"},
            "metric_groups": [
                {
                    "name": "all",
                    "metric_data": [
                        {"name": "rmse", "type": "number", "value": 9.9},
                        {"name": "curve", "type": "linear_graph", "value": [[0, 1], [1, 2]], "x_axis_name": "round"},
                        {"name": "bars", "type": "bar_chart", "value": [1, 2], "x_axis_name": ["a", "b"]},
                        {"name": "confusion", "type": "matrix", "value": [[1, 0], [0, 1]]},
                    ],
                }
            ],
        }
    ],
    "additional_information": {"custom_details": {"team": "air"}},
}
CONTENT = json.dumps(CARD)
CARD_ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-card/flights"


def changed(**members: Any) -> str:
    return json.dumps({**CARD, **members})


def versions(packages: Packages, **asked: Any) -> list[tuple[int, str]]:
    answer = packages.call("ListModelCardVersions", ModelCardName="flights", **asked)
    return [(one["ModelCardVersion"], one["ModelCardStatus"]) for one in answer["ModelCardVersionSummaryList"]]


def test_another_content_makes_a_version_and_another_status_does_not(packages: Packages) -> None:
    call = packages.call
    call("CreateModelCard", ModelCardName="flights", Content=CONTENT, ModelCardStatus="Draft")
    with pytest.raises(AwsError, match="already exists") as taken:
        call("CreateModelCard", ModelCardName="flights", Content=CONTENT, ModelCardStatus="Draft")
    assert taken.value.code == "ConflictException"
    call("UpdateModelCard", ModelCardName="flights", ModelCardStatus="Approved")
    call("UpdateModelCard", ModelCardName=CARD_ARN, Content=changed(business_details={}))
    described = call("DescribeModelCard", ModelCardName=CARD_ARN)
    assert (described["ModelCardVersion"], described["ModelCardStatus"]) == (2, "Approved")
    assert json.loads(described["Content"])["business_details"] == {}
    call("UpdateModelCard", ModelCardName="flights", ModelCardStatus="Archived")
    with pytest.raises(AwsError, match="Archived"):
        call("UpdateModelCard", ModelCardName="flights", Content=CONTENT)
    assert versions(packages) == [(2, "Archived"), (1, "Approved")]
    assert versions(packages, SortOrder="Ascending", ModelCardStatus="Approved") == [(1, "Approved")]
    first = call("DescribeModelCard", ModelCardName="flights", ModelCardVersion=1)
    assert (first["Content"], first["ModelCardStatus"]) == (CONTENT, "Approved")
    limited = call("DescribeModelCard", ModelCardName="flights", IncludedData="MetadataOnly")["Content"]
    assert json.loads(limited) == {
        "model_overview": {"model_id": "flights", "model_name": "Flights"},
        "intended_uses": {"risk_rating": "Low"},
    }
    with pytest.raises(AwsError, match="has no version 3") as missing:
        call("DescribeModelCard", ModelCardName="flights", ModelCardVersion=3)
    assert missing.value.code == "ResourceNotFound"
    for wrong in ({}, {"Content": CONTENT, "ModelCardStatus": "Draft"}):
        with pytest.raises(AwsError, match="either Content or ModelCardStatus"):
            call("UpdateModelCard", ModelCardName="flights", **wrong)


def test_cards_are_listed_found_and_deleted_with_their_versions(packages: Packages) -> None:
    call = packages.call
    for name in ("flights", "trains"):
        call("CreateModelCard", ModelCardName=name, Content=CONTENT, ModelCardStatus="Draft", Tags=[])
    call("UpdateModelCard", ModelCardName="flights", Content=changed(intended_uses={"risk_rating": "High"}))
    call("UpdateModelCard", ModelCardName="trains", ModelCardStatus="PendingReview")
    [listed] = call("ListModelCards", ModelCardStatus="PendingReview")["ModelCardSummaries"]
    assert listed["ModelCardName"] == "trains"
    expression = {"Filters": [{"Name": "RiskRating", "Operator": "Equals", "Value": "High"}]}
    [found] = call("Search", Resource="ModelCard", SearchExpression=expression)["Results"]
    assert (found["ModelCard"]["ModelCardName"], found["ModelCard"]["ModelId"]) == ("flights", "flights")
    call("DeleteModelCard", ModelCardName="flights")
    with pytest.raises(AwsError, match="does not exist"):
        call("DescribeModelCard", ModelCardName="flights")
    call("CreateModelCard", ModelCardName="flights", Content="{}", ModelCardStatus="Draft")
    assert versions(packages) == [(1, "Draft")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "/ must be of type object"),
        (changed(other={}), "/ has no member 'other'"),
        (changed(intended_uses={"risk_rating": "Huge"}), "/intended_uses/risk_rating must be one of High, Medium"),
        (changed(model_overview={"model_version": 0}), "/model_overview/model_version must be at least 1"),
        (changed(model_overview={"model_version": True}), "/model_overview/model_version must be of type number"),
        (changed(model_overview={"model_artifact": ["a"] * 16}), "/model_overview/model_artifact must have at most 15"),
        (changed(business_details={"business_problem": "x" * 2049}), "has 2049 characters, and may have 2048"),
        (changed(evaluation_details=[{}]), "/evaluation_details/0 lacks name"),
        (
            changed(
                evaluation_details=[{"name": "a", "metric_groups": [{"name": "b", "metric_data": [{"type": "c"}]}]}]
            ),
            "/evaluation_details/0/metric_groups/0/metric_data/0 must be an object whose type is one of number",
        ),
    ],
)
def test_content_that_does_not_follow_the_schema_is_refused_where_it_does_not(content: str, said: str) -> None:
    with pytest.raises(AwsError) as refused:
        check_content(content)
    assert said in refused.value.message


def test_a_package_has_a_card_of_its_own_schema(packages: Packages) -> None:
    packages.group("flights")
    content = json.dumps({"model_overview": {"model_creator": "ada"}, "intended_uses": {"risk_rating": "Low"}})
    packages.version("flights", ModelCard={"ModelCardContent": content, "ModelCardStatus": "Draft"})
    with pytest.raises(AwsError, match="model_overview has no member 'model_id'"):
        packages.update("flights/1", ModelCard={"ModelCardContent": CONTENT})
    packages.update("flights/1", ModelCard={"ModelCardStatus": "Archived"})
    card = {"ModelCardContent": content, "ModelCardStatus": "Archived"}
    assert packages.describe(arn("flights/1"))["ModelCard"] == card
    with pytest.raises(AwsError, match="Archived"):
        packages.update("flights/1", ModelCard={"ModelCardContent": "{}"})
    limited = packages.describe("flights/1", IncludedData="MetadataOnly")["ModelCard"]["ModelCardContent"]
    assert json.loads(limited) == {"intended_uses": {"risk_rating": "Low"}}
    check_content(content, PACKAGE_CARD)


def test_a_version_is_exported_as_a_document_that_holds_its_content(packages: Packages) -> None:
    pytest.importorskip("fpdf")
    call, output = packages.call, {"S3OutputPath": f"s3://{BUCKET}/cards"}
    call("CreateModelCard", ModelCardName="flights", Content=CONTENT, ModelCardStatus="Draft")
    call("UpdateModelCard", ModelCardName="flights", Content="{}")
    asked = {"ModelCardName": "flights", "ModelCardExportJobName": "first", "OutputConfig": output}
    job = call("CreateModelCardExportJob", **asked, ModelCardVersion=1)["ModelCardExportJobArn"]
    assert job == f"{CARD_ARN}/export-job/first"
    with pytest.raises(AwsError, match="already exists"):
        call("CreateModelCardExportJob", **asked)
    elsewhere = {"OutputConfig": {"S3OutputPath": "s3://no-such-bucket-here"}, "ModelCardExportJobName": "second"}
    failing = call("CreateModelCardExportJob", **{**asked, **elsewhere})["ModelCardExportJobArn"]
    reconcile(packages.platform, f"{ACCOUNT}/{REGION}/flights/first")
    reconcile(packages.platform, None)
    described = call("DescribeModelCardExportJob", ModelCardExportJobArn=job)
    assert (described["Status"], described["ModelCardVersion"]) == ("Completed", 1)
    uri = described["ExportArtifacts"]["S3ExportArtifacts"]
    made = packages.platform.objects.get_bytes(BUCKET, uri.partition(f"s3://{BUCKET}/")[2])
    assert made.startswith(b"%PDF-")
    assert CONTENT.encode() in inside(made)
    described = call("DescribeModelCardExportJob", ModelCardExportJobArn=failing)
    assert (described["Status"], described["ModelCardVersion"]) == ("Failed", 2)
    assert "no-such-bucket-here" in described["FailureReason"]
    listed = call("ListModelCardExportJobs", ModelCardName="flights", StatusEquals="Completed")
    assert [one["ModelCardExportJobName"] for one in listed["ModelCardExportJobSummaries"]] == ["first"]
    call("DeleteModelCard", ModelCardName="flights")
    with pytest.raises(AwsError, match="does not exist"):
        call("DescribeModelCardExportJob", ModelCardExportJobArn=job)


def test_the_document_is_the_same_each_time_and_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fpdf")
    first = document("flights", 1, "Draft", CONTENT, 1_700_000_000.0)
    assert document("flights", 1, "Draft", CONTENT, 1_700_000_000.0) == first
    monkeypatch.setitem(__import__("sys").modules, "fpdf", None)
    with pytest.raises(CannotExport, match=r"clary\[reports\]"):
        document("flights", 1, "Draft", CONTENT, 0.0)


def inside(pdf: bytes) -> list[bytes]:
    """The streams of a document, unpacked."""
    found = []
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            found.append(zlib.decompress(stream))
        except zlib.error:
            found.append(stream)
    return found
