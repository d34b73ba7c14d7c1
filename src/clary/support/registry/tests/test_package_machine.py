"""Groups and packages against a model: whatever happens in whatever order, versions, tokens and approvals hold."""

import tempfile
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.errors import AwsError
from clary.kernel.core.settings import Settings
from clary.kernel.rooms import Platform
from clary.support.registry.tests.conftest import ACCOUNT, BUCKET, REGION, SPECIFICATION, Packages, arn

GROUPS = st.sampled_from(["a", "b"])
TOKENS = st.sampled_from(["", "", "s", "t"])
APPROVALS = ["PendingManualApproval", "Approved", "Rejected"]


@dataclass
class Group:
    """What the model knows of a group: its last number, and the approval of each version."""

    latest: int = 0
    versions: dict[int, str] = field(default_factory=dict)


class PackageMachine(RuleBasedStateMachine):
    """One registry, and every client there is."""

    @initialize()
    def open(self):
        self.folder = tempfile.TemporaryDirectory()
        self.clock = VirtualClock()
        self.platform = Platform(Settings.load({}, home=self.folder.name, ephemeral=True), self.clock)
        self.platform.objects.buckets.create(BUCKET, ACCOUNT, REGION)
        self.platform.objects.put_bytes(BUCKET, "model.tar.gz", b"a model")
        self.packages = Packages(self.platform)
        self.groups: dict[str, Group] = {}
        self.tokens: dict[str, tuple[str, int, str]] = {}

    def refused(self, code, operation, **params):
        with pytest.raises(AwsError) as error:
            self.packages.call(operation, **params)
        assert error.value.code == code, error.value

    @rule(name=GROUPS)
    def create_group(self, name):
        self.clock.advance(1)
        if name in self.groups:
            self.refused("ValidationException", "CreateModelPackageGroup", ModelPackageGroupName=name)
            return
        self.packages.group(name)
        self.groups[name] = Group()

    @rule(name=GROUPS)
    def delete_group(self, name):
        if name not in self.groups:
            self.refused("ValidationException", "DeleteModelPackageGroup", ModelPackageGroupName=name)
        elif self.groups[name].versions:
            self.refused("ConflictException", "DeleteModelPackageGroup", ModelPackageGroupName=name)
        else:
            self.packages.call("DeleteModelPackageGroup", ModelPackageGroupName=name)
            del self.groups[name]

    @rule(name=GROUPS, token=TOKENS, approval=st.sampled_from(APPROVALS))
    def create_version(self, name, token, approval):
        self.clock.advance(1)
        asked = {
            "ModelPackageGroupName": name,
            "InferenceSpecification": SPECIFICATION,
            "ModelApprovalStatus": approval,
            **({"ClientToken": token} if token else {}),
        }
        known = self.tokens.get(token)
        if known is not None and (known[0], known[2]) != (name, approval):
            self.refused("ConflictException", "CreateModelPackage", **asked)
        elif known is not None:
            assert self.packages.call("CreateModelPackage", **asked)["ModelPackageArn"] == arn(f"{name}/{known[1]}")
        elif name not in self.groups:
            self.refused("ValidationException", "CreateModelPackage", **asked)
        else:
            group = self.groups[name]
            group.latest += 1
            group.versions[group.latest] = approval
            created = self.packages.call("CreateModelPackage", **asked)["ModelPackageArn"]
            assert created == arn(f"{name}/{group.latest}")
            if token:
                self.tokens[token] = (name, group.latest, approval)

    @precondition(lambda self: any(group.versions for group in self.groups.values()))
    @rule(data=st.data(), approval=st.sampled_from(APPROVALS))
    def approve(self, data, approval):
        name, number = self.pick(data)
        self.packages.update(f"{name}/{number}", ModelApprovalStatus=approval)
        self.groups[name].versions[number] = approval

    @precondition(lambda self: any(group.versions for group in self.groups.values()))
    @rule(data=st.data())
    def delete_version(self, data):
        name, number = self.pick(data)
        self.packages.call("DeleteModelPackage", ModelPackageName=arn(f"{name}/{number}"))
        del self.groups[name].versions[number]
        self.tokens = {token: made for token, made in self.tokens.items() if made[:2] != (name, number)}

    @precondition(lambda self: any(group.versions for group in self.groups.values()))
    @rule(data=st.data())
    def deploy(self, data):
        name, number = self.pick(data)
        asked = {"ModelName": "m", "PrimaryContainer": {"ModelPackageName": f"{name}/{number}"}}
        if self.groups[name].versions[number] == "Approved":
            self.packages.call("CreateModel", **asked)
            self.packages.call("DeleteModel", ModelName="m")
        else:
            self.refused("ValidationException", "CreateModel", **asked)

    def pick(self, data):
        there = [(name, number) for name, group in self.groups.items() for number in group.versions]
        return data.draw(st.sampled_from(sorted(there)))

    @invariant()
    def what_is_listed_is_what_there_is(self):
        for name, group in getattr(self, "groups", {}).items():
            for approval in APPROVALS:
                expected = [f"{name}/{number}" for number, one in group.versions.items() if one == approval]
                assert self.packages.listed(ModelPackageGroupName=name, ModelApprovalStatus=approval) == expected

    def teardown(self):
        if hasattr(self, "platform"):
            self.platform.close()
            self.folder.cleanup()


PackageMachine.TestCase.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
TestPackages = PackageMachine.TestCase
