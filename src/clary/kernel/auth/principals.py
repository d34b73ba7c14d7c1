"""Who a signature stands for: the principal and the credential that proves it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from clary.kernel.auth.policies import Permissions

PrincipalKind = Literal["root", "user", "assumed-role", "anonymous"]


@dataclass(frozen=True, slots=True)
class Principal:
    """An account's root, an IAM user, or a role somebody assumed.

    `name` is the user's or the role's; `session` is the role session's. `permissions` are what its policies said
    when it was looked up, at most a second ago; None means that nothing is forbidden (root, the default key).
    """

    kind: PrincipalKind
    account: str
    partition: str = "aws"
    name: str = ""
    session: str = ""
    path: str = "/"
    unique_id: str = ""
    permissions: "Permissions | None" = None

    @property
    def arn(self) -> str:
        """What GetCallerIdentity answers and what AccessDenied messages name."""
        if self.kind == "root":
            return f"arn:{self.partition}:iam::{self.account}:root"
        if self.kind == "user":
            return f"arn:{self.partition}:iam::{self.account}:user{self.path}{self.name}"
        if self.kind == "assumed-role":
            return f"arn:{self.partition}:sts::{self.account}:assumed-role/{self.name}/{self.session}"
        return "anonymous"

    @property
    def role_arn(self) -> str:
        """The role behind a role session."""
        return f"arn:{self.partition}:iam::{self.account}:role{self.path}{self.name}"

    @property
    def user_id(self) -> str:
        """`aws:userid`: the account id of a root, `AROA...:session` of a role."""
        if self.kind == "root":
            return self.account
        return f"{self.unique_id}:{self.session}" if self.kind == "assumed-role" else self.unique_id


@dataclass(frozen=True, slots=True)
class Credential:
    """A key pair as the verifier needs it. Temporary credentials carry a session token and an end."""

    access_key: str
    secret: str
    principal: Principal
    session_token: str | None = None
    expires_at: float | None = None
    active: bool = True
