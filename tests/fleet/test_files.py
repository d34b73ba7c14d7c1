"""Every file says what it is for, is short enough to read, and does nothing that the house forbids."""

import ast
import re
from pathlib import Path

import pytest
from tests.fleet.repository import ROOT, SOURCE, is_test, named, python_files, tracked, tree

MOST_LINES = 700
MOST_BYTES = 2_000_000

FILES = python_files()
TEXTS = [path for path in tracked() if path.suffix not in {".csv", ".gz", ".png", ".ico", ".parquet", ".lock"}]

files = pytest.mark.parametrize("path", FILES, ids=named)

# Where programs talk to a person, printing is what they do; inside a job, standard output is the log.
PRINTS = ("benchmarks/", "examples/", "tests/clients/", "tests/conformance/", "src/clary/runtime/")
# Inside a job there is no clock of the platform.
OWN_CLOCK = ("benchmarks/", "examples/", "src/clary/runtime/")

FORBIDDEN_NAMES = re.compile(r"(Manager|Helper|Helpers|Util|Utils|V2)$|^(Fake|Dummy|Stub)")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
# Where packages and images come from is the user's affair; the names of AWS's own hosts are part of its wire.
REGISTRIES = re.compile(
    "|".join(
        (
            r"pypi\.org",
            r"pythonhosted\.org",
            r"npmjs\.org",
            r"docker\.io",
            r"ghcr\.io",
            r"quay\.io",
            r"crates\.io",
            r"proxy\.golang",
            "index-url",
        )
    )
)
MACHINE_PATHS = re.compile(r"(?<![\w./])/(?:work|root)/\w")


@files
def test_a_file_says_what_it_is_for(path):
    if path.stat().st_size == 0:
        pytest.fail("an empty file says nothing: give it a docstring or remove it")
    assert ast.get_docstring(tree(path)), "begin with a docstring"


@files
def test_a_file_is_short_enough_to_read(path):
    lines = path.read_text().count("\n")
    assert lines <= MOST_LINES, f"{lines} lines: split it by what it holds"


@files
def test_nothing_sleeps_or_reads_the_time_behind_the_clocks_back(path):
    if named(path).startswith(OWN_CLOCK):
        return
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            assert "sleep" not in {alias.name for alias in node.names}, f"line {node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            assert (owner, node.attr) != ("time", "sleep"), f"line {node.lineno}: wait on a condition"
            if not is_test(path):
                assert (owner, node.attr) not in {
                    ("datetime", "now"),
                    ("datetime", "utcnow"),
                    ("date", "today"),
                }, f"line {node.lineno}: take the time from the kernel's clock"


@files
def test_nothing_prints_but_what_talks_to_a_person(path):
    if named(path).startswith(PRINTS):
        return
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert not [call.lineno for call in calls if call.func.id in {"print", "breakpoint"}]


@files
def test_names_say_what_a_thing_is(path):
    classes = [node.name for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef)]
    assert not [name for name in classes if FORBIDDEN_NAMES.search(name)]
    assert path.stem not in {"utils", "helpers", "common", "misc", "manager"}


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.is_relative_to(SOURCE) and not is_test(path)], ids=named
)
def test_nothing_is_left_undone(path):
    """No function without a body, but where a protocol or an overload declares one."""
    protocols = {
        function
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)
        for function in node.body
    }
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node in protocols:
            continue
        overloaded = any("overload" in ast.unparse(decorator) for decorator in node.decorator_list)
        body = [part for part in node.body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))]
        documented = ast.get_docstring(node) is not None
        assert body or overloaded or documented, f"{node.name} (line {node.lineno}) has no body"
        bare = [part for part in body if isinstance(part, ast.Pass)]
        assert len(bare) < max(len(body), 1) or not body, f"{node.name} (line {node.lineno}) does nothing"


@pytest.mark.parametrize("path", TEXTS, ids=named)
def test_a_text_holds_nothing_of_the_place_it_was_written_in(path):
    assert path.stat().st_size <= MOST_BYTES, "too large for a repository"
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return
    if path.name == "LICENSE" or path == Path(__file__):
        return
    for pattern in (UNFINISHED, REGISTRIES, MACHINE_PATHS):
        found = pattern.search(text)
        assert found is None, f"line {text.count(chr(10), 0, found.start()) + 1}: {found[0]}"


def test_the_checkout_is_found():
    assert (ROOT / "pyproject.toml").exists()
    assert len(FILES) > 100
