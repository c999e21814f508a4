"""An import-linter contract: a room imports only the public names of another one, never its modules.

A room is a sub-package; its public names are those of its ``__init__``. The programs ``python -m rwm`` and
``python -m rwmfs`` (``__main__``) may import their entry points from a module.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class RoomsContract(Contract):
    """``packages`` are the top-level packages whose sub-packages are rooms."""

    type_name = "rooms"
    packages = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Find every use of a module inside another room, by an import or as an attribute of the room."""
        packages: list[str] = self.packages  # type: ignore[assignment]  # the descriptor returns the value
        found = inside_imports(graph, tuple(packages))
        for module in internal_modules(graph, tuple(packages)):
            found |= {(module, used) for used in inside_attributes(graph, module, _source(module))}
        return ContractCheck(kept=not found, metadata={"found": sorted(found)})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line for each."""
        for importer, imported in check.metadata["found"]:
            output.print_error(f"{importer} imports {imported}, which is inside another room")


def internal_modules(graph: ImportGraph, packages: tuple[str, ...]) -> list[str]:
    """The modules of the packages, without the programs."""
    programs = {f"{package}.__main__" for package in packages}
    return sorted(name for name in graph.modules - programs if name.split(".")[0] in packages)


def inside_imports(graph: ImportGraph, packages: tuple[str, ...]) -> set[tuple[str, str]]:
    """(importer, imported module) of every import of a module inside another room than the importer's."""
    return {
        (importer, imported)
        for importer in internal_modules(graph, packages)
        for imported in graph.find_modules_directly_imported_by(importer)
        if imported.split(".")[0] in packages and _is_inside_another_room(graph, importer, imported)
    }


def inside_attributes(graph: ImportGraph, module: str, source: str) -> set[str]:
    """Modules inside other rooms that a module uses as attributes, as in ``from rwm import s3; s3.client.connect``."""
    tree = ast.parse(source)
    names = dict(_bound_packages(graph, tree))
    used = {_dotted(node, names) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return {name for name in used & graph.modules if _is_inside_another_room(graph, module, name)}


def _bound_packages(graph: ImportGraph, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(name, package) for each name that an absolute import binds to one of our packages."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0], alias.name if alias.asname else alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                if (package := f"{node.module}.{alias.name}") in graph.modules:
                    yield alias.asname or alias.name, package


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    """The full name of an attribute chain that begins with a bound name; empty for any other expression."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute) and (owner := _dotted(node.value, names)):
        return f"{owner}.{node.attr}"
    return ""


def _is_inside_another_room(graph: ImportGraph, importer: str, imported: str) -> bool:
    """Whether ``imported`` is a module, not a package, of a room that ``importer`` does not belong to."""
    room = _room(graph, imported)
    return room != imported and "." in room and room != _room(graph, importer)


def _room(graph: ImportGraph, module: str) -> str:
    return module if graph.find_children(module) else module.rpartition(".")[0]


def _source(module: str) -> str:
    """The source of a module, found without importing its packages."""
    package, *names = module.split(".")
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None, package
    path = Path(spec.origin).parent.joinpath(*names)
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
