"""What is written about the code agrees with the code."""

import re
import tomllib
from dataclasses import fields

import pytest
from tests.fleet.repository import ROOT, git_show, named, tracked

import clary
from clary.cli.app import app
from clary.kernel.core.settings import SETTINGS, Settings
from clary.kernel.rooms import Registry
from clary.kernel.rooms.registry import unimplemented
from clary.server.reference import UNIMPLEMENTED, list_header, stale

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
DECISION = re.compile(r"\d{4}-[a-z0-9-]+\.md")


def test_generated_parts_are_current():
    out_of_date = [named(path) for path, _ in stale(ROOT, Registry())]
    assert out_of_date == [], "run `make docs`"


def test_what_is_not_built_only_shrinks():
    """Nothing that was built in the last commit, or in the one before, is gone now."""
    missing = set(unimplemented(Registry()))
    for revision in ("HEAD", "HEAD~1"):
        header, *before = (git_show(revision, UNIMPLEMENTED) or "").splitlines() or [""]
        if header == list_header():
            assert missing <= set(before), f"built in {revision}, and not any more"


def test_every_setting_is_a_field_with_help():
    assert [setting.name for setting in SETTINGS] == [field.name for field in fields(Settings)]
    for setting in SETTINGS:
        assert setting.help.endswith("."), f"{setting.name} needs a sentence of help"


def test_the_changelog_tells_of_this_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert clary.__version__ == project["version"]
    assert re.search(rf"^## {re.escape(clary.__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_every_command_is_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    names = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    names += [group.name for group in app.registered_groups if group.name]
    assert [name for name in names if f"`clary {name}" not in readme] == []


@pytest.mark.parametrize("path", [path for path in tracked("*.md")], ids=named)
def test_links_lead_somewhere(path):
    for target in LINK.findall(path.read_text()):
        if re.match(r"[a-z]+:|#", target):
            continue
        assert (path.parent / target.partition("#")[0]).exists(), f"{target} leads nowhere"


def test_decisions_are_numbered_and_short():
    folder = ROOT / "docs" / "decisions"
    pages = [page for page in sorted(folder.glob("*.md")) if page.name != "README.md"]
    numbers = [page.name[:4] for page in pages]
    assert all(DECISION.fullmatch(page.name) for page in pages)
    assert len(numbers) == len(set(numbers))
    for page in pages:
        assert len(page.read_text().split()) < 600, f"{page.name} is longer than a page"
