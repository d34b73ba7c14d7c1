"""Work that is done later is done as who asked for it, by what that may do by then."""

import json
from dataclasses import replace

import orjson
import pytest

from clary.kernel.auth import policies
from clary.kernel.auth.deferred import kept, taken_up
from clary.kernel.auth.principals import Principal
from clary.kernel.auth.records import Role
from clary.kernel.core.errors import AwsError

ACCOUNT = "111122223333"


def document(action: str, effect: str = "Allow") -> str:
    statement = {"Effect": effect, "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def allowed(principal: Principal, action: str) -> bool:
    return policies.authorize(principal, action, "arn:aws:s3:::bucket/key").allowed


def test_a_role_session_is_taken_up_with_its_limits(platform):
    directory = platform.keys.directory
    role = Role("/", "AROAONE", document("sts:AssumeRole"), inline={"own": document("s3:*")})
    roles = directory.roles(ACCOUNT)
    roles.create("reader", role)
    session = directory.role_permissions(ACCOUNT, role, [document("s3:Get*")])
    asked = Principal("assumed-role", ACCOUNT, name="reader", session="s", unique_id="AROAONE", permissions=session)
    stored = orjson.loads(orjson.dumps(kept(asked)))
    again = taken_up(directory, stored)
    assert again.arn == asked.arn
    assert (allowed(again, "s3:GetObject"), allowed(again, "s3:PutObject")) == (True, False)
    roles.update("reader", lambda found: replace(found, inline={"own": document("glue:*")}))
    assert not allowed(taken_up(directory, stored), "s3:GetObject")
    roles.update("reader", lambda found: replace(found, unique_id="AROATWO"))
    with pytest.raises(AwsError, match="not there any more"):
        taken_up(directory, stored)


def test_who_may_do_anything_still_may(platform):
    root = Principal("root", ACCOUNT)
    assert taken_up(platform.keys.directory, orjson.loads(orjson.dumps(kept(root)))) == root
