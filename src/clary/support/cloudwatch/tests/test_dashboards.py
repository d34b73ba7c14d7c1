"""Dashboards: kept as they are written, for the whole account."""

import pytest

from clary.kernel.core.errors import AwsError


def test_a_dashboard_is_put_got_listed_and_deleted(call, caller):
    body = '{"widgets": [], "start": "-PT3H"}'
    assert call("PutDashboard", DashboardName="d", DashboardBody=body) == {"DashboardValidationMessages": []}
    arn = "arn:aws:cloudwatch::111122223333:dashboard/d"
    assert call("GetDashboard", DashboardName="d") == {
        "DashboardArn": arn,
        "DashboardBody": body,
        "DashboardName": "d",
    }
    call("PutDashboard", DashboardName="d", DashboardBody="{}")
    call("PutDashboard", DashboardName="e", DashboardBody="{}", Tags=[{"Key": "k", "Value": "v"}])
    elsewhere = caller("cloudwatch", region="us-east-1")("ListDashboards")
    assert [(entry["DashboardName"], entry["Size"]) for entry in elsewhere["DashboardEntries"]] == [("d", 2), ("e", 2)]
    assert len(call("ListDashboards", DashboardNamePrefix="e")["DashboardEntries"]) == 1
    assert call("ListTagsForResource", ResourceARN=arn[:-1] + "e") == {"Tags": [{"Key": "k", "Value": "v"}]}
    with pytest.raises(AwsError, match="Dashboard none does not exist"):
        call("DeleteDashboards", DashboardNames=["d", "none"])
    call("DeleteDashboards", DashboardNames=["d", "e"])
    with pytest.raises(AwsError, match="does not exist"):
        call("GetDashboard", DashboardName="d")


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("a b", "{}", "InvalidParameterValue"),
        ("d", "{", "InvalidParameterInput"),
        ("d", "[]", "InvalidParameterInput"),
        ("d", '{"widgets": 1}', "InvalidParameterInput"),
    ],
)
def test_what_is_no_dashboard_is_refused(call, name, body, code):
    with pytest.raises(AwsError) as caught:
        call("PutDashboard", DashboardName=name, DashboardBody=body)
    assert caught.value.code == code
