"""What every room leans on: resources with their tags, acting roles. Over a bare kernel."""

from dataclasses import dataclass, replace

import pytest

from clary.kernel.auth.principals import Principal
from clary.kernel.core.errors import AwsError
from clary.kernel.rooms import Context, Platform, Resource
from clary.kernel.rooms.roles import acting_role, work_environment
from clary.kernel.rooms.tags import add_tags, tags_of
from clary.kernel.store import Conflict, record

ACCOUNT, REGION = "000000000000", "us-east-1"
DEFAULT_ROLE = f"arn:aws:iam::{ACCOUNT}:role/service-role/AmazonSageMaker-ExecutionRole"


@record("test_gadget", version=1)
@dataclass(frozen=True, slots=True)
class Gadget:
    size: int


GADGETS = Resource("sagemaker", "gadget", Gadget, taken=("ResourceInUse", "There is a {name}: {arn}"))


@pytest.fixture
def ctx(platform: Platform) -> Context:
    return platform.acting_as_root(ACCOUNT, REGION, "sagemaker", "CreateTrainingJob")


def test_a_resource_and_its_tags_come_and_go_together(ctx: Context) -> None:
    GADGETS.create(ctx, "one", Gadget(1), tags={"a": "b"}, status="Here", parent="all")
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:gadget/one"
    assert GADGETS.arn(ctx, "one") == arn
    assert (GADGETS.get(ctx, "one").value, GADGETS.get(ctx, "one").status) == (Gadget(1), "Here")
    assert tags_of(ctx.platform, arn) == {"a": "b"}
    GADGETS.delete(ctx, "one")
    assert GADGETS.find(ctx, "one") is None
    assert tags_of(ctx.platform, arn) == {}


def test_taken_and_missing_names_are_the_declared_errors(ctx: Context) -> None:
    GADGETS.create(ctx, "one", Gadget(1))
    with pytest.raises(AwsError, match="There is a one: arn:aws:sagemaker") as taken:
        GADGETS.create(ctx, "one", Gadget(2), tags={"a": "b"})
    assert taken.value.code == "ResourceInUse"
    for missing in (GADGETS.get, GADGETS.delete):
        with pytest.raises(AwsError, match=r"Requested resource not found\."):
            missing(ctx, "two")
    assert GADGETS.get(ctx, "one").value == Gadget(1)


def test_tags_left_by_a_former_owner_of_the_name_do_not_stand_in_the_way(ctx: Context) -> None:
    """They are added in the moment in which it was deleted."""
    add_tags(ctx.platform, GADGETS.arn(ctx, "again"), {"old": "tag"})
    GADGETS.create(ctx, "again", Gadget(1), tags={"new": "tag"})
    assert tags_of(ctx.platform, GADGETS.arn(ctx, "again")) == {"new": "tag"}


def test_what_changed_since_it_was_read_is_not_deleted(ctx: Context) -> None:
    entry = GADGETS.create(ctx, "one", Gadget(1))
    ctx.records(Gadget).replace(entry, Gadget(2))
    with pytest.raises(Conflict):
        GADGETS.delete(ctx, "one", version=entry.version)
    assert GADGETS.get(ctx, "one").value == Gadget(2)


def test_the_root_may_name_any_role_and_then_acts_as_the_default_one(ctx: Context) -> None:
    assert acting_role(ctx, "arn:aws:iam::123456789012:role/copied-from-an-example") == DEFAULT_ROLE
    assert acting_role(ctx, DEFAULT_ROLE) == DEFAULT_ROLE


def test_passing_a_role_takes_a_policy_that_allows_it(ctx: Context) -> None:
    nobody = Principal("user", ACCOUNT, name="ann", permissions=policies_of(ctx, allowed=False))
    with pytest.raises(AwsError, match="iam:PassRole") as caught:
        acting_role(replace(ctx, principal=nobody), DEFAULT_ROLE)
    assert caught.value.code == "AccessDeniedException"
    ann = Principal("user", ACCOUNT, name="ann", permissions=policies_of(ctx, allowed=True))
    assert acting_role(replace(ctx, principal=ann), DEFAULT_ROLE) == DEFAULT_ROLE
    with pytest.raises(AwsError, match="Could not assume role"):
        acting_role(replace(ctx, principal=ann), f"arn:aws:iam::{ACCOUNT}:role/not-there")


def test_work_is_given_credentials_that_the_server_knows(ctx: Context) -> None:
    environment = work_environment(ctx.platform, DEFAULT_ROLE, "eu-west-1", 60.0)
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "eu-west-1"
    credential = ctx.platform.keys.find(environment["AWS_ACCESS_KEY_ID"])
    assert credential is not None
    assert credential.session_token == environment["AWS_SESSION_TOKEN"]
    assert credential.principal.arn.endswith("assumed-role/AmazonSageMaker-ExecutionRole/SageMaker")
    with pytest.raises(AwsError, match="Could not assume role"):
        work_environment(ctx.platform, f"arn:aws:iam::{ACCOUNT}:role/gone", "eu-west-1", 60.0)


def policies_of(ctx: Context, *, allowed: bool) -> object:
    directory = ctx.platform.keys.directory
    role = directory.role(ACCOUNT, "AmazonSageMaker-ExecutionRole")
    assert role is not None
    return directory.role_permissions(ACCOUNT, role.value if allowed else replace(role.value, attached=[]))
