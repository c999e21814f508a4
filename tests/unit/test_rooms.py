"""The contracts of import-linter in setup.cfg hold, and each breaks when it should, in every way of importing."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest
from grimp import ImportGraph, build_graph

from tests import ROOT
from tests.rooms import inside_attributes, inside_imports

ROOMS = "a room imports the public names of another, never its modules"

WAYS_OF_IMPORTING = {
    "from_module": "from rwm.s3.client import S3",
    "from_package": "from rwm.s3 import client",
    "from_package_renamed": "from rwm.s3 import S3, client as c",
    "whole": "import rwm.s3.client",
    "whole_renamed": "import rwm.s3.client as c",
    "relative": "from ..s3.client import S3",
    "relative_package": "from ..s3 import client",
    "in_function": """
        def connect():
            from rwm.s3.client import connect
    """,
    "in_method": """
        class Lazy:
            async def connect(self):
                import rwm.s3.client
    """,
    "in_try": """
        try:
            from rwm.s3.client import S3
        except ImportError:
            S3 = None
    """,
    "for_types": """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from rwm.s3.client import S3
    """,
    "attribute": """
        from rwm import s3
        s3.client.connect()
    """,
    "attribute_of_root": """
        import rwm.s3
        rwm.s3.client.connect()
    """,
}
"""Statements in a module of ``rwm.states`` that use a module inside ``rwm.s3``."""

CIRCLE = {
    "rwm.states.circle_one": "def f():\n    from rwm.states import circle_two",
    "rwm.states.circle_two": "from rwm.states import circle_one",
}

FOR_TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"

VIOLATIONS = {
    "rwm.states.to_cli": ("from rwm.cli import main", "layers of rwm"),
    "rwm.states.to_sibling": ("import rwm.restore", "layers of rwm"),
    "rwm.statefile.to_s3": ("from rwm.s3 import S3", "layers of rwm"),
    "rwm.index.to_s3": ("def f():\n    from rwm.s3 import S3", "layers of rwm"),
    "rwm.s3.listing.to_client": ("from rwm.s3.client import S3", "layers of rwm.s3"),
    "rwmfs.fuse.to_mount": ("from rwmfs import mount", "layers of rwmfs"),
    "rwmfs.read.to_tree": ("from rwmfs.tree import Contents", "layers of rwmfs"),
    "rwmfs.cache.to_read": (f"{FOR_TYPES}    import rwmfs.read", "layers of rwmfs"),
    "rwm.console.to_rwmfs": ("import rwmfs.defaults", "rwm never imports rwmfs"),
    "rwmfs.mount.to_writer": ("from rwm.restore import service", "rwmfs imports no command and no service of rwm"),
    "rwmfs.cli.to_cli": ("from rwm.cli.main import cli", "rwmfs imports no command and no service of rwm"),
    "rwmfs.read.to_s3": ("from rwm.s3 import S3", "within rwmfs only the mount connects to S3"),
    "rwm.storage.to_boto3": ("import boto3", "only rwm.s3 imports boto3"),
    "rwmfs.read.to_botocore": ("from botocore.exceptions import ClientError", "only rwm.s3 imports boto3"),
    "rwm.cli.to_sqlite3": ("def f():\n    import sqlite3.dbapi2", "only rwm.index imports sqlite3"),
    "rwmfs.tree.to_sqlite_utils": ("from sqlite_utils import Database", "only rwm.index imports sqlite3"),
    "rwm.restic.to_subprocess": ("from subprocess import run as r", "only rwm.process imports subprocess"),
    "rwmfs.mount.to_pyfuse3": ("import pyfuse3 as fuse", "only rwmfs.fuse imports pyfuse3"),
    "rwmfs.tree.to_pyfuse3": (f"{FOR_TYPES}    from pyfuse3 import InodeT", "only rwmfs.fuse imports pyfuse3"),
}
"""Module to add → (its source, the contract that must name it)."""


def lint(directory: Path) -> tuple[int, Mapping[str, str]]:
    """The exit code of lint-imports, and what it says about each broken contract."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, env={"COLUMNS": "200"}, check=False)
    _, _, broken = done.stdout.partition("Broken contracts\n")
    _, *parts = re.split(r"^(.+)\n-+$", broken, flags=re.MULTILINE)  # headings are underlined
    return done.returncode, dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What lint-imports says about a copy of the packages with all the violations in it."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("rwm", "rwmfs"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "tests").mkdir()
    for name in ("setup.cfg", "tests/__init__.py", "tests/rooms.py"):
        shutil.copy(ROOT / name, copy / name)
    sources = {f"rwm.states.import_{way}": dedent(source) for way, source in WAYS_OF_IMPORTING.items()}
    sources |= CIRCLE | {module: source for module, (source, _) in VIOLATIONS.items()}
    for module, source in sources.items():
        copy.joinpath(*module.split(".")).with_suffix(".py").write_text(source + "\n")
    code, reports = lint(copy)
    assert code == 1
    return reports


def test_the_packages_keep_all_contracts() -> None:
    assert lint(ROOT) == (0, {})


@pytest.mark.parametrize("way", WAYS_OF_IMPORTING)
def test_a_module_inside_another_room_is_noticed(reports: Mapping[str, str], way: str) -> None:
    assert f"rwm.states.import_{way} imports rwm.s3.client, which is inside another room" in reports[ROOMS]


@pytest.mark.parametrize("module", VIOLATIONS)
def test_a_forbidden_import_is_noticed(reports: Mapping[str, str], module: str) -> None:
    _, contract = VIOLATIONS[module]
    assert module in reports[contract]


def test_a_circle_within_a_room_is_noticed(reports: Mapping[str, str]) -> None:
    report = reports["no modules or rooms import each other in a circle"]
    _, _, circles = report.partition("No cycles are allowed in rwm.states.\n")
    assert ".circle_" in circles.partition("No cycles")[0]


# --- docstrings of rooms -----------------------------------------------------------------------------


PROGRAMS = build_graph("rwm", "rwmfs")
ROOM_NAMES = sorted(name for name in PROGRAMS.modules if "." in name and PROGRAMS.find_children(name))


@pytest.mark.parametrize("room", ROOM_NAMES)
def test_the_docstring_of_a_room_names_the_rooms_it_imports_and_where_to_begin(room: str) -> None:
    directory = ROOT.joinpath(*room.split("."))
    lines = (ast.get_docstring(ast.parse((directory / "__init__.py").read_text())) or "").split("\n", 2)
    assert lines[0].endswith("."), "what lives here, in one line"
    assert lines[1] == ""
    may_import, _, begin_reading = lines[2].partition("\nBegin reading at ")
    assert may_import.startswith("May import ")
    missing = {name for name in imported_rooms(room) if f"``{name}``" not in may_import}
    assert not missing or "every room of rwm" in may_import
    modules = re.findall(r"``(\w+\.py)``", begin_reading)
    assert modules and all((directory / module).exists() for module in modules)


def imported_rooms(room: str) -> set[str]:
    """The rooms that a room imports, as its docstring names them: without its own top-level package."""
    names = set()
    for module in {room} | (PROGRAMS.find_children(room) - set(ROOM_NAMES)):
        for imported in PROGRAMS.find_modules_directly_imported_by(module):
            if imported in ROOM_NAMES and imported != room:
                names.add(imported.removeprefix(room.split(".")[0] + "."))
    shared = {"config", "rwm.config", "model", "rwm.model"}
    return names - {"s3.listing"} - shared  # the names of s3.listing are those of s3


# --- the contract of the rooms -----------------------------------------------------------------------


@pytest.fixture
def graph() -> ImportGraph:
    graph = ImportGraph()
    for module in ("a", "a.words", "a.one", "a.one.x", "a.one.y", "a.one.deep", "a.one.deep.z", "a.two", "a.two.x"):
        graph.add_module(module)
    graph.add_module("a.__main__")
    return graph


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("a.two.x", "a.one"),  # the public names
        ("a.two.x", "a.words"),  # the shared modules
        ("a.one.x", "a.one.y"),
        ("a.one", "a.one.x"),
        ("a.one.x", "a.one.deep"),
        ("a.__main__", "a.one.x"),
    ],
)
def test_allowed_imports(graph: ImportGraph, importer: str, imported: str) -> None:
    graph.add_import(importer=importer, imported=imported)
    assert not inside_imports(graph, ("a",))


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("a.two.x", "a.one.x"),
        ("a.two", "a.one.x"),
        ("a.words", "a.one.x"),
        ("a.one.x", "a.one.deep.z"),
        ("a.one.deep.z", "a.one.x"),
    ],
)
def test_imports_of_modules_inside_another_room(graph: ImportGraph, importer: str, imported: str) -> None:
    graph.add_import(importer=importer, imported=imported)
    assert inside_imports(graph, ("a",)) == {(importer, imported)}


@pytest.mark.parametrize(
    ("source", "used"),
    [
        ("from a import one\none.x.f()", {"a.one.x"}),
        ("from a import one as o\no.deep.z", {"a.one.deep.z"}),
        ("import a.one\na.one.x.f", {"a.one.x"}),
        ("import a.one as o\ndef f():\n    return o.x", {"a.one.x"}),
        ("import a.two\na.two.x", set()),  # its own room
        ("from a import one\none.public()", set()),
        ("from a import words\nwords.x", set()),
        ("one.x", set()),
        ("f().x", set()),
    ],
)
def test_attributes_of_a_room_that_are_modules(graph: ImportGraph, source: str, used: set[str]) -> None:
    assert inside_attributes(graph, "a.two.x", source) == used
