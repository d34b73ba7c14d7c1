"""What CreateTransformJob refuses, and why."""

from typing import Any

import pytest

from clary.kernel.core.errors import AwsError
from clary.systems.batch_transform.logic_requests import check_containers, complete
from clary.systems.batch_transform.tests.conftest import request


def asked(**members: Any) -> dict[str, Any]:
    return request("job", "s3://b/in/", **members)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"MaxConcurrentTransforms": 20, "MaxPayloadInMB": 6}, "must be at most 100 MB"),
        ({"MaxPayloadInMB": 101}, "at most 100, not 101"),
        ({"TransformResources": {"InstanceCount": 101}}, "InstanceCount must be at most 100"),
        ({"DataCaptureConfig": {"DestinationS3Uri": "https://example.org/x"}}, "DataCaptureConfig.DestinationS3Uri"),
        (
            {
                "DataCaptureConfig": {"DestinationS3Uri": "s3://b/c", "GenerateInferenceId": True},
                "TransformOutput": {"Accept": "image/png"},
            },
            "GenerateInferenceId needs TransformOutput.Accept to be text/csv",
        ),
        ({"TransformOutput": {"S3OutputPath": "https://example.org/x"}}, "TransformOutput.S3OutputPath"),
        ({"DataProcessing": {"InputFilter": "$.name"}}, "selects columns by number"),
        (
            {"DataProcessing": {"InputFilter": "$..x"}, "TransformInput": {"ContentType": "application/json"}},
            "JSONPath",
        ),
        ({"DataProcessing": {"JoinSource": "Input"}, "TransformInput": {"ContentType": "image/png"}}, "ContentType"),
        ({"DataProcessing": {"JoinSource": "Input"}, "TransformInput": {"SplitType": "RecordIO"}}, "SplitType"),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "TransformOutput": {"Accept": "application/json"}},
            "one format: ContentType is csv, Accept is json",
        ),
        (
            {"TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "Converse", "S3Uri": "s3://b/x"}}}},
            "S3DataType Converse is not compatible",
        ),
    ],
)
def test_refusals_name_what_is_wrong(members: dict[str, Any], said: str) -> None:
    with pytest.raises(AwsError, match=said.replace("$", r"\$")) as caught:
        complete(asked(**members))
    assert caught.value.code == "ValidationException"


@pytest.mark.parametrize("path", ["$", "$[1:]", "$[0,-1]", "$[0,5:]", "$[*]", "$.[2]"])
def test_columns_of_csv_are_selected_by_number(path: str) -> None:
    assert complete(asked(DataProcessing={"InputFilter": path}))["DataProcessing"]["InputFilter"] == path


@pytest.mark.parametrize("path", ["$.a", "$['a','b']", "$.a.b[0]", "$.SageMakerOutput['x']", "$.a[*].b", r"$['it\'s']"])
def test_members_of_json_are_selected_by_name(path: str) -> None:
    source = {"ContentType": "application/jsonlines"}
    processing = complete(asked(DataProcessing={"OutputFilter": path}, TransformInput=source))["DataProcessing"]
    assert processing["OutputFilter"] == path


@pytest.mark.parametrize(
    ("containers", "mode", "said"),
    [
        ([{"Image": "a", "Mode": "MultiModel"}], None, "MultiModel"),
        ([{"Image": "a"}, {"Image": "b"}], "Direct", "Mode Direct"),
    ],
)
def test_models_that_cannot_transform_are_refused(containers: list[Any], mode: str | None, said: str) -> None:
    with pytest.raises(AwsError, match=said):
        check_containers(containers, mode)
