"""Every operation of every room is closed to who has no policy for it, and open to who has exactly that."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.wire.samples import Samples

from clary.kernel.auth.actions import action_of
from clary.kernel.auth.policies import Permissions, compile_document
from clary.kernel.auth.principals import Principal
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, Handler, Platform, Registry
from clary.kernel.rooms.registry import authorise

HANDLERS = Registry().handlers
# AWS answers these to any key at all, whatever its policies say.
FREE_TO_ALL = {("sts", "GetCallerIdentity"), ("sts", "GetSessionToken")}


def someone(*statements: dict[str, Any]) -> Principal:
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    policies = (compile_document(document, "only"),) if statements else ()
    return Principal("user", "111122223333", name="ada", permissions=Permissions(policies))


def calling(platform: Platform, handler: Handler) -> tuple[Context, dict[str, Any]]:
    ctx = platform.acting_as_root("111122223333", "eu-west-1", handler.claim.service, handler.claim.operation)
    shape = ctx.operation.input
    return ctx, {} if shape is None else Samples().structure(shape)


@pytest.mark.parametrize("name", sorted(HANDLERS), ids=":".join)
def test_an_operation_asks_for_its_action_on_its_resource(platform: Platform, name: tuple[str, str]) -> None:
    handler = HANDLERS[name]
    ctx, params = calling(platform, handler)
    action = action_of(ctx.operation)

    def attempt(*statements: dict[str, Any]) -> None:
        authorise(replace(ctx, principal=someone(*statements)), handler, params)

    if name in FREE_TO_ALL:
        attempt()
        return
    with pytest.raises(AwsError, match="not authorized to perform") as refused:
        attempt()
    assert action in refused.value.message
    attempt({"Effect": "Allow", "Action": action, "Resource": "*"})
    with pytest.raises(AwsError, match="explicit deny"):
        attempt(
            {"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": action, "Resource": "*"}
        )
    if handler.claim.resource != "*":
        with pytest.raises(AwsError, match="not authorized to perform"):
            attempt({"Effect": "Allow", "Action": action, "Resource": "arn:aws:other:::thing"})
