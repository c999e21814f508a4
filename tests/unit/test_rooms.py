"""The contract of the rooms notices an import of another room's inside, and nothing else."""

from __future__ import annotations

import pytest
from grimp import ImportGraph

from tests.rooms import inside_imports


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
        ("a.two.x", "a.words"),  # the shared words
        ("a.one.x", "a.one.y"),
        ("a.one", "a.one.x"),
        ("a.one.x", "a.one.deep"),
        ("a.__main__", "a.one.x"),
    ],
)
def test_what_is_allowed(graph: ImportGraph, importer: str, imported: str) -> None:
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
def test_what_reaches_inside(graph: ImportGraph, importer: str, imported: str) -> None:
    graph.add_import(importer=importer, imported=imported)
    assert inside_imports(graph, ("a",)) == {(importer, imported)}
