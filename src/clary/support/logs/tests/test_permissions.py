"""A group named by its ARN, or in a list, is as closed as by its name."""

import json
from dataclasses import replace

import pytest

from clary.kernel.auth.policies import Permissions, compile_document
from clary.kernel.auth.principals import Principal
from clary.kernel.core.errors import AwsError

ACCOUNT, REGION = "111122223333", "eu-west-1"
STATEMENTS = [
    {"Effect": "Allow", "Action": "logs:*", "Resource": "*"},
    {"Effect": "Deny", "Action": "logs:*", "Resource": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:secret"},
]
DOCUMENT = json.dumps({"Version": "2012-10-17", "Statement": STATEMENTS})
LIMITED = Principal("user", ACCOUNT, name="ada", permissions=Permissions((compile_document(DOCUMENT, "only"),)))


@pytest.mark.parametrize("identifier", ["secret", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:secret"])
@pytest.mark.parametrize(
    ("operation", "member"),
    [
        ("FilterLogEvents", "logGroupIdentifier"),
        ("DescribeLogStreams", "logGroupIdentifier"),
        ("PutLogGroupDeletionProtection", "logGroupIdentifier"),
        ("DescribeLogGroups", "logGroupIdentifiers"),
    ],
)
def test_a_group_denied_is_denied_by_any_name(platform, call, identifier, operation, member):
    call("CreateLogGroup", logGroupName="secret")
    ctx = replace(platform.acting_as_root(ACCOUNT, REGION, "logs", operation), principal=LIMITED)
    named = {member: [identifier] if member.endswith("s") else identifier}
    more = {"deletionProtectionEnabled": True} if operation.startswith("Put") else {}
    with pytest.raises(AwsError, match="explicit deny"):
        platform.registry.call(ctx, named | more)
