"""Access keys: made at first start, by `clary keys`, by IAM and by STS; looked up by every request.

Which keys are honoured:

- keys made by `clary keys`, IAM or STS, everywhere;
- the default pair, made at first start with a random secret, while the gateway listens on loopback only. It acts as
  the default execution role with nothing forbidden, so that an SDK's `get_execution_role()` finds a role;
- any 12-digit access key id, on loopback only: it is the root of the account of that number. Its secret is that of
  the default pair, or `test` on an `--ephemeral` server. (A fixed secret on a lasting server would let any web page
  the user opens sign requests.)

A look-up is remembered for a second, so revoking a key, or changing a policy, takes effect within a second in every
process, and the record is read once a second and not once a request.
"""

import hmac
import secrets
from collections.abc import Sequence
from ipaddress import ip_address

from clary.kernel.auth.default_key import default_key, new_pair
from clary.kernel.auth.directory import DEFAULT_ROLE, Directory
from clary.kernel.auth.principals import Credential, Principal
from clary.kernel.auth.records import AccessKey, owner_of
from clary.kernel.core.clock import Clock
from clary.kernel.core.settings import Settings
from clary.kernel.store import Entry, Store, Table

REMEMBERED_SECONDS = 1.0
EPHEMERAL_SECRET = "test"
_MOST_REMEMBERED = 10_000
_LONGEST_SESSION_SECONDS = 36 * 3600
_SWEEP_SECONDS = 60.0
_ACTIVE, _INACTIVE = "Active", "Inactive"


class Keys:
    """The access keys of all accounts. Safe to share between threads."""

    def __init__(self, store: Store, clock: Clock, settings: Settings) -> None:
        self.directory = Directory(store, clock)
        self._table = Table(store, clock, AccessKey, None, None).within("", "")
        self._clock = clock
        self._account = settings.account
        self._home = settings.home
        self._ephemeral = settings.ephemeral
        self._on_loopback = is_loopback(settings.host)
        self._sweep_at = 0.0
        self._remembered: dict[str, tuple[float, Credential]] = {}

    def find(self, access_key: str) -> Credential | None:
        """The credential of a key, at most a second old; None when there is no such key."""
        now = self._clock.monotonic()
        remembered = self._remembered.get(access_key)
        if remembered is not None and now < remembered[0]:
            return remembered[1]
        credential = self._read(access_key)
        if credential is None:
            self._remembered.pop(access_key, None)
            return None
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[access_key] = (now + REMEMBERED_SECONDS, credential)
        return credential

    def ensure_default(self) -> None:
        """Make the default pair and its role, where they are not there yet."""
        default_key(self._home)
        self._default_principal()

    def default(self) -> Credential | None:
        """The default pair; None when the server listens beyond loopback, where it is not honoured."""
        if not self._on_loopback:
            return None
        access_key, secret = default_key(self._home)
        return Credential(access_key, secret, self._default_principal())

    def create_root_key(self, account: str | None = None) -> Credential:
        """Make a long-term pair for an account's root; the settings' account unless given."""
        account = account or self._account
        entry = self.create(account, origin="made")
        return Credential(entry.name, entry.value.secret, Principal("root", account))

    def create(self, account: str, *, user: str = "", origin: str = "iam") -> Entry[AccessKey]:
        """Make a long-term pair for a user, or for the account's root."""
        key_id, secret = new_pair("AKIA")
        key = AccessKey(secret, account, origin, user=user)
        return self._table.create(key_id, key, status=_ACTIVE, parent=owner_of(account, user))

    def issue(
        self, principal: Principal, seconds: float, *, session_policies: Sequence[str] = ()
    ) -> tuple[str, AccessKey]:
        """Make a temporary pair, with a session token, that stands for `principal` until it expires."""
        key_id, secret = new_pair("ASIA")
        key = AccessKey(
            secret,
            principal.account,
            "sts",
            user=principal.name if principal.kind == "user" else "",
            role=principal.name if principal.kind == "assumed-role" else "",
            role_id=principal.unique_id if principal.kind == "assumed-role" else "",
            session=principal.session,
            session_token=secrets.token_urlsafe(192),
            expires_at=self._clock.now() + seconds,
            session_policies=list(session_policies),
            unrestricted=principal.kind == "assumed-role" and principal.permissions is None,
        )
        self._forget_expired()
        self._table.create(key_id, key, status=_ACTIVE, parent="temporary")
        return key_id, key

    def of(self, account: str, user: str = "") -> list[Entry[AccessKey]]:
        """The long-term keys of a user, or of the account's root; the default pair is not among them."""
        return self._table.all(parent=owner_of(account, user))

    def all(self) -> list[Credential]:
        """Every key that works or could be made active again, the default pair first."""
        now = self._clock.now()
        stored = [self._credential(entry) for entry in self._table.all()]
        found = [self.default(), *stored]
        return [key for key in found if key is not None and (key.expires_at is None or key.expires_at > now)]

    def get(self, access_key: str) -> Entry[AccessKey] | None:
        """The record of a key, read now."""
        return self._table.get(access_key)

    def set_active(self, access_key: str, active: bool) -> bool:
        """Let a key in, or keep it out; False when there is no such key."""
        entry = self._table.get(access_key)
        if entry is None:
            return False
        self._table.put(access_key, entry.value, status=_ACTIVE if active else _INACTIVE, parent=entry.parent)
        self._remembered.pop(access_key, None)
        return True

    def delete(self, access_key: str) -> bool:
        """Revoke a key for good; False when there is no such key."""
        self._remembered.pop(access_key, None)
        return self._table.delete(access_key)

    def any_made(self) -> bool:
        """Whether somebody made a long-term key, as listening beyond loopback requires."""
        return any(entry.value.origin != "sts" for entry in self._table.all(status=_ACTIVE))

    def _default_principal(self) -> Principal:
        """Who the default pair is: a session of the default execution role that nothing is forbidden to."""
        role = self.directory.role(self._account, DEFAULT_ROLE)
        assert role is not None
        return Principal(
            "assumed-role",
            self._account,
            name=DEFAULT_ROLE,
            session="clary",
            path=role.value.path,
            unique_id=role.value.unique_id,
        )

    def _read(self, access_key: str) -> Credential | None:
        if len(access_key) == 12 and access_key.isascii() and access_key.isdigit():
            return self._account_of_number(access_key)
        if access_key == default_key(self._home)[0]:
            return self.default()
        entry = self._table.get(access_key)
        return None if entry is None else self._credential(entry)

    def _credential(self, entry: Entry[AccessKey]) -> Credential | None:
        key = entry.value
        owner = self._principal(key)
        if owner is None:
            return None
        return Credential(
            entry.name, key.secret, owner, key.session_token, key.expires_at, active=entry.status == _ACTIVE
        )

    def _account_of_number(self, account: str) -> Credential | None:
        if not self._on_loopback:
            return None
        secret = EPHEMERAL_SECRET if self._ephemeral else default_key(self._home)[1]
        return Credential(account, secret, Principal("root", account))

    def _principal(self, key: AccessKey) -> Principal | None:
        """Who the key stands for now; None when the user or role is gone (or was made again under the same name)."""
        if key.user:
            user = self.directory.users(key.account).get(key.user)
            if user is None:
                return None
            permissions = self.directory.user_permissions(key.account, user.value)
            return Principal(
                "user",
                key.account,
                name=key.user,
                path=user.value.path,
                unique_id=user.value.unique_id,
                permissions=permissions,
            )
        if not key.role:
            return Principal("root", key.account)
        role = self.directory.role(key.account, key.role)
        if role is None or not hmac.compare_digest(role.value.unique_id, key.role_id or role.value.unique_id):
            return None
        return Principal(
            "assumed-role",
            key.account,
            name=key.role,
            session=key.session,
            path=role.value.path,
            unique_id=role.value.unique_id,
            permissions=None
            if key.unrestricted and not key.session_policies
            else self.directory.role_permissions(key.account, role.value, key.session_policies),
        )

    def _forget_expired(self) -> None:
        now = self._clock.now()
        if now < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP_SECONDS
        old = self._table.all(
            parent="temporary", created_before=now - _LONGEST_SESSION_SECONDS, sort="created_at", limit=100
        )
        for entry in old:
            if entry.value.expires_at is None or entry.value.expires_at < now:  # those of long jobs last for weeks
                self._table.delete(entry.name)


def is_loopback(host: str) -> bool:
    """Whether a listening address is reachable from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
