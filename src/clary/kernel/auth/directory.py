"""Users and roles with the policies that apply to them, read from the records that the iam room writes."""

from collections.abc import Iterable

from clary.kernel.auth import aws_managed
from clary.kernel.auth.policies import Permissions, Policy, compile_document
from clary.kernel.auth.records import Group, ManagedPolicy, Role, User
from clary.kernel.core.clock import Clock
from clary.kernel.core.ids import prefixed_id
from clary.kernel.store import AlreadyExists, Entry, Store, Table

DEFAULT_ROLE = "AmazonSageMaker-ExecutionRole"
DEFAULT_ROLE_PATH = "/service-role/"
_DEFAULT_TRUST = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":['
    '"sagemaker.amazonaws.com","glue.amazonaws.com","lambda.amazonaws.com","firehose.amazonaws.com",'
    '"events.amazonaws.com","scheduler.amazonaws.com","elasticmapreduce.amazonaws.com","ec2.amazonaws.com"],'
    '"AWS":"ACCOUNT"},"Action":["sts:AssumeRole","sts:TagSession"]}]}'
)
_DENY_ALL = compile_document(
    '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}', "a policy that is gone"
)


class Directory:
    """The principals of all accounts, over the record store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def users(self, account: str) -> Table[User]:
        return Table(self._store, self._clock, User, account, "")

    def roles(self, account: str) -> Table[Role]:
        return Table(self._store, self._clock, Role, account, "")

    def groups(self, account: str) -> Table[Group]:
        return Table(self._store, self._clock, Group, account, "")

    def policies(self, account: str) -> Table[ManagedPolicy]:
        return Table(self._store, self._clock, ManagedPolicy, account, "")

    def role(self, account: str, name: str) -> Entry[Role] | None:
        """A role; the default execution role is there from the start in every account."""
        if name == DEFAULT_ROLE:
            self.ensure_default_role(account)
        return self.roles(account).get(name)

    def ensure_default_role(self, account: str) -> None:
        """Make the default execution role of an account where it is missing."""
        if self.roles(account).get(DEFAULT_ROLE) is None:
            try:
                self.roles(account).create(DEFAULT_ROLE, default_role(account))
            except AlreadyExists:
                pass  # another process was first

    def user_permissions(self, account: str, user: User) -> Permissions:
        """What a user may do: own policies and those of the user's groups, within the boundary."""
        identity = self.inline_and_attached(account, user.inline, user.attached)
        for name in user.groups:
            group = self.groups(account).get(name)
            if group is not None:
                identity += self.inline_and_attached(account, group.value.inline, group.value.attached)
        return Permissions(identity, self._boundary(account, user.boundary))

    def role_permissions(self, account: str, role: Role, session_policies: Iterable[str] = ()) -> Permissions:
        """What a role session may do; session policies narrow it."""
        session = tuple(compile_document(document, "session policy") for document in session_policies)
        return Permissions(
            self.inline_and_attached(account, role.inline, role.attached),
            self._boundary(account, role.boundary),
            session or None,
        )

    def document(self, account: str, arn: str) -> str | None:
        """The default version of a managed policy, the account's own or AWS's; None when there is none."""
        if ":iam::aws:policy/" in arn:
            return aws_managed.document(arn)
        entry = self.policies(account).get(arn.rpartition("/")[2])
        return None if entry is None else str(entry.value.versions[entry.value.default_version]["document"])

    def inline_and_attached(self, account: str, inline: dict[str, str], attached: list[str]) -> tuple[Policy, ...]:
        """Compile inline policies and the attached managed ones."""
        policies = [compile_document(document, name) for name, document in inline.items()]
        for arn in attached:
            document = self.document(account, arn)
            if document is not None:
                policies.append(compile_document(document, arn))
        return tuple(policies)

    def _boundary(self, account: str, arn: str) -> Policy | None:
        if not arn:
            return None
        document = self.document(account, arn)
        return _DENY_ALL if document is None else compile_document(document, arn)


def default_role(account: str) -> Role:
    """The role that `clary env` acts as and that SDK examples pass: SageMaker may assume it, it may do anything."""
    return Role(
        path=DEFAULT_ROLE_PATH,
        unique_id=prefixed_id("AROA", 17),
        trust=_DEFAULT_TRUST.replace("ACCOUNT", account),
        description="Made by Clary: the execution role of jobs and endpoints.",
        max_session_seconds=43200,
        attached=["arn:aws:iam::aws:policy/AdministratorAccess", "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"],
    )
