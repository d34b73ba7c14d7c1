"""Keys over a real record store: who they stand for, when they stop, and that two processes agree."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from clary.kernel.auth.directory import DEFAULT_ROLE
from clary.kernel.auth.keys import EPHEMERAL_SECRET, REMEMBERED_SECONDS, Keys, is_loopback
from clary.kernel.auth.policies import authorize
from clary.kernel.auth.principals import Principal
from clary.kernel.auth.records import Role, User
from clary.kernel.core.clock import VirtualClock
from clary.kernel.core.settings import Settings
from clary.kernel.store import Store
from clary.kernel.store.sql import open_sqlite

ACCOUNT = "000000000000"


def document(effect: str, action: str, resource: str = "*") -> str:
    statement = {"Effect": effect, "Action": action, "Resource": resource}
    return orjson.dumps({"Version": "2012-10-17", "Statement": [statement]}).decode()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_sqlite(tmp_path / "records.db")
    yield store
    store.close()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({}, home=str(tmp_path))


@pytest.fixture
def keys(store: Store, clock: VirtualClock, settings: Settings) -> Keys:
    return Keys(store, clock, settings)


def test_default_pair_is_the_execution_role_and_may_do_anything(keys: Keys, store: Store, settings: Settings) -> None:
    keys.ensure_default()
    default = keys.default()
    assert default is not None
    assert Keys(store, VirtualClock(), settings).default() == default
    assert keys.find(default.access_key) == default
    assert default.principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/{DEFAULT_ROLE}/clary"
    assert default.principal.role_arn == f"arn:aws:iam::{ACCOUNT}:role/service-role/{DEFAULT_ROLE}"
    assert default.principal.unique_id.startswith("AROA")
    assert authorize(default.principal, "s3:DeleteBucket", "arn:aws:s3:::b").allowed
    assert not keys.any_made()
    assert (settings.home / "default-key.json").stat().st_mode & 0o077 == 0


def test_beyond_loopback_only_made_keys_count(
    store: Store, clock: VirtualClock, settings: Settings, keys: Keys
) -> None:
    default = keys.default()
    made = keys.create_root_key("111122223333")
    assert default is not None
    outside = Keys(store, clock, replace(settings, listen="0.0.0.0:4777"))
    assert outside.default() is None
    assert outside.find(default.access_key) is None
    assert outside.find("123456789012") is None
    assert outside.any_made()
    found = outside.find(made.access_key)
    assert found is not None
    assert found.principal == Principal("root", "111122223333")


def test_twelve_digits_are_an_account(store: Store, clock: VirtualClock, settings: Settings, keys: Keys) -> None:
    default, found = keys.default(), keys.find("123456789012")
    assert default is not None
    assert found is not None
    assert found.principal == Principal("root", "123456789012")
    assert found.secret == default.secret
    ephemeral = Keys(store, clock, replace(settings, ephemeral=True)).find("123456789012")
    assert ephemeral is not None
    assert ephemeral.secret == EPHEMERAL_SECRET
    assert keys.find("12345678901") is None
    assert keys.find("١٢٣٤٥٦٧٨٩٠١٢") is None


def test_revocation_reaches_another_process_within_a_second(
    store: Store, clock: VirtualClock, settings: Settings, keys: Keys
) -> None:
    other = Keys(store, clock, settings)
    made = keys.create_root_key()
    assert other.find(made.access_key) == made
    assert keys.set_active(made.access_key, False)
    here = keys.find(made.access_key)
    assert here is not None
    assert not here.active
    clock.advance(REMEMBERED_SECONDS)
    there = other.find(made.access_key)
    assert there is not None
    assert not there.active
    assert keys.delete(made.access_key)
    clock.advance(REMEMBERED_SECONDS)
    assert other.find(made.access_key) is None
    assert not keys.delete(made.access_key)


def test_user_has_the_policies_that_are_attached_now(keys: Keys, clock: VirtualClock) -> None:
    users = keys.directory.users(ACCOUNT)
    users.create("alice", User("/", "AIDAALICE", inline={"read": document("Allow", "s3:Get*", "arn:aws:s3:::data/*")}))
    made = keys.create(ACCOUNT, user="alice")

    def may(action: str, resource: str) -> bool:
        clock.advance(REMEMBERED_SECONDS)
        found = keys.find(made.name)
        assert found is not None
        assert found.principal.arn == f"arn:aws:iam::{ACCOUNT}:user/alice"
        return authorize(found.principal, action, resource).allowed

    assert may("s3:GetObject", "arn:aws:s3:::data/x")
    assert not may("s3:GetObject", "arn:aws:s3:::other/x")
    assert not may("s3:PutObject", "arn:aws:s3:::data/x")
    users.update("alice", lambda user: replace(user, attached=["arn:aws:iam::aws:policy/AmazonS3FullAccess"]))
    assert may("s3:PutObject", "arn:aws:s3:::data/x")
    users.update("alice", lambda user: replace(user, boundary="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"))
    assert not may("s3:PutObject", "arn:aws:s3:::data/x")
    users.delete("alice")
    clock.advance(REMEMBERED_SECONDS)
    assert keys.find(made.name) is None


def test_temporary_pair_of_a_role(keys: Keys, clock: VirtualClock) -> None:
    role = Role("/", "AROAREADER", trust="", inline={"all": document("Allow", "s3:*")})
    keys.directory.roles(ACCOUNT).create("reader", role)
    session = Principal("assumed-role", ACCOUNT, name="reader", session="me", unique_id="AROAREADER")
    name, key = keys.issue(
        replace(session, permissions=keys.directory.role_permissions(ACCOUNT, role)),
        900,
        session_policies=[document("Allow", "s3:GetObject")],
    )
    found = keys.find(name)
    assert found is not None
    assert name.startswith("ASIA")
    assert found.session_token == key.session_token
    assert found.expires_at == clock.now() + 900
    assert found.principal.user_id == "AROAREADER:me"
    assert authorize(found.principal, "s3:GetObject", "arn:aws:s3:::b/k").allowed
    decision = authorize(found.principal, "s3:PutObject", "arn:aws:s3:::b/k")
    assert (decision.outcome, decision.layer) == ("implicitDeny", "session policy")
    keys.directory.roles(ACCOUNT).delete("reader")
    keys.directory.roles(ACCOUNT).create("reader", replace(role, unique_id="AROAANOTHER"))
    clock.advance(REMEMBERED_SECONDS)
    assert keys.find(name) is None, "a role made again under the same name is another role"


def test_expired_pairs_are_cleared_away(keys: Keys, clock: VirtualClock) -> None:
    name, _ = keys.issue(Principal("root", ACCOUNT), 900)
    clock.advance(40 * 3600)
    keys.issue(Principal("root", ACCOUNT), 900)
    assert keys.get(name) is None


@pytest.mark.parametrize(
    ("host", "loopback"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
