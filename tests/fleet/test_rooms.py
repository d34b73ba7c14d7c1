"""Every room has the shape that a reader expects: what it is, what it does, what differs, and tests."""

import ast
import importlib
from pathlib import Path

import pytest
from tests.fleet.repository import SOURCE, named, tree

from clary.kernel.rooms import Registry
from clary.kernel.store.records import kinds
from clary.server.reference import SYSTEMS

REGISTRY = Registry()
ROOMS = sorted(REGISTRY.rooms)


def folder(package: str) -> Path:
    return Path(str(importlib.import_module(package).__file__)).parent


def imported(path: Path, package: str) -> set[str]:
    """The first names behind `package.` of what a file imports at any depth: `api` of `package.api.groups`."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        names |= {module.split(".")[3] for module in modules if module.startswith(package + ".")}
    return names


def modules(package: str, *, tests: bool = False) -> list[Path]:
    home = folder(package)
    return [path for path in sorted(home.rglob("*.py")) if ("tests" in path.relative_to(home).parts) == tests]


def test_every_package_of_rooms_is_a_room():
    packages = {
        f"clary.{parent}.{path.name}"
        for parent in ("systems", "support")
        for path in (SOURCE / parent).iterdir()
        if (path / "__init__.py").exists()
    }
    assert packages <= set(ROOMS)


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_says_what_it_is_and_nothing_else(package):
    body = tree(folder(package) / "__init__.py").body
    kinds = [type(node).__name__ for node in body]
    assert kinds == ["Expr", "ImportFrom", "Assign"], "a docstring, the import of Room, and ROOM"
    room = REGISTRY.rooms[package]
    assert room.name == package.rpartition(".")[2].rstrip("_")
    assert room.title
    first = room.summary.split()[0]
    assert first[0].islower() or any(letter.isupper() for letter in first[1:]), "a summary stands in a table's cell"
    assert not room.summary.endswith("."), "a summary stands in a table's cell"
    assert (room.number is not None) == package.startswith("clary.systems.")


def test_numbers_are_rows_of_the_mission():
    """Rooms that share a row are parts of one system and named so: `glue_catalog`, `glue_jobs`."""
    rows: dict[int, set[str]] = {}
    for room in REGISTRY.rooms.values():
        if room.number is not None:
            rows.setdefault(room.number, set()).add(room.name.partition("_")[0])
    assert set(rows) <= set(range(1, len(SYSTEMS) + 1))
    assert [systems for systems in rows.values() if len(systems) > 1] == []


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_has_a_readme_and_tests(package):
    home = folder(package)
    readme = (home / "README.md").read_text()
    assert readme.startswith("# "), "a README begins with a title"
    assert "AWS" in readme or "SageMaker" in readme, "a README says what AWS does, what Clary does, and what differs"
    assert list((home / "tests").rglob("test_*.py")), "a room's tests stand beside it"


@pytest.mark.parametrize("package", ROOMS)
def test_operations_and_reconcilers_stand_where_they_are_looked_for(package):
    for path in modules(package):
        decorators = {
            called.id
            for node in ast.walk(tree(path))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for decorator in node.decorator_list
            for called in [decorator.func if isinstance(decorator, ast.Call) else decorator]
            if isinstance(called, ast.Name)
        }
        place = path.relative_to(folder(package)).parts[0].removesuffix(".py")
        if "operation" in decorators:
            assert place == "api", f"{named(path)} has operations"
        if {"reconciler", "observer"} & decorators:
            assert place == "reconcile", f"{named(path)} has reconcilers"


def test_what_rooms_observe_are_records_and_someone_is_told():
    REGISTRY.resources  # noqa: B018 - imports what declares records
    topics = {topic for those in REGISTRY.observers.values() for topic in those}
    assert topics == {period.topic for period, _ in REGISTRY.reconcilers if period.topic.endswith("-observer")}
    assert set(REGISTRY.observers) <= kinds()


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_is_layered(package):
    """tests → api | reconcile → what they share → records."""
    for path in modules(package):
        place = path.relative_to(folder(package)).parts[0].removesuffix(".py")
        found = imported(path, package)
        assert "tests" not in found, f"{named(path)} imports tests"
        if place == "records":
            assert found <= {"records"}, f"{named(path)} imports {found}"
        elif place == "api":
            assert "reconcile" not in found, f"{named(path)} imports reconcile"
        elif place == "reconcile":
            assert "api" not in found, f"{named(path)} imports api"
        else:
            assert not found & {"api", "reconcile"}, f"{named(path)} imports {found & {'api', 'reconcile'}}"
