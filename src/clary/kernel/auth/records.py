"""What IAM remembers. Kept in the kernel because every request is checked against it; the iam room writes it.

Policy documents are the JSON text that the user gave, so that it comes back as it was.
"""

from dataclasses import dataclass, field

from clary.kernel.store import record


@record("access_key", version=1, scope="global")
@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key pair, named by its access key id. Status: Active or Inactive. Parent: see `owner_of`.

    Without user and role it is the account's root. `origin`: made (`clary keys`), iam or sts.
    Temporary ones belong to a role session, a user or the root, and carry token and expiry.
    """

    secret: str
    account: str
    origin: str
    user: str = ""
    role: str = ""
    role_id: str = ""
    session: str = ""
    session_token: str | None = None
    expires_at: float | None = None
    session_policies: list[str] = field(default_factory=list)
    unrestricted: bool = False


@record("iam_user", version=1, scope="account")
@dataclass(frozen=True, slots=True)
class User:
    path: str
    unique_id: str
    tags: dict[str, str] = field(default_factory=dict)
    inline: dict[str, str] = field(default_factory=dict)
    attached: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    boundary: str = ""


@record("iam_role", version=1, scope="account")
@dataclass(frozen=True, slots=True)
class Role:
    path: str
    unique_id: str
    trust: str
    description: str = ""
    max_session_seconds: int = 3600
    tags: dict[str, str] = field(default_factory=dict)
    inline: dict[str, str] = field(default_factory=dict)
    attached: list[str] = field(default_factory=list)
    boundary: str = ""


@record("iam_group", version=1, scope="account")
@dataclass(frozen=True, slots=True)
class Group:
    path: str
    unique_id: str
    inline: dict[str, str] = field(default_factory=dict)
    attached: list[str] = field(default_factory=list)


@record("iam_policy", version=1, scope="account")
@dataclass(frozen=True, slots=True)
class ManagedPolicy:
    """A customer managed policy. `versions` maps v1, v2, ... to document and creation time."""

    path: str
    unique_id: str
    description: str
    default_version: str
    versions: dict[str, dict[str, str | float]]
    next_version: int = 2
    tags: dict[str, str] = field(default_factory=dict)


def owner_of(account: str, user: str) -> str:
    """The parent of a user's long-term access keys; `user` is "" for the root."""
    return f"{account}/{user}"
