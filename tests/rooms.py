"""An import-linter contract: a package imports another one's public names only, never its modules.

A package is public by its ``__init__``. ``python -m`` (``__main__``) starts a program, so it may name its module.
"""

from __future__ import annotations

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class RoomsContract(Contract):
    """``packages`` are the top packages whose sub-packages are rooms."""

    type_name = "rooms"
    packages = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Broken by every import of a module that lies inside another room than the importer."""
        packages: list[str] = self.packages  # type: ignore[assignment]  # the field gives its value
        found = sorted(inside_imports(graph, tuple(packages)))
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """One line for each import."""
        for importer, imported in check.metadata["found"]:
            output.print_error(f"{importer} imports {imported}, which is inside another room")


def inside_imports(graph: ImportGraph, packages: tuple[str, ...]) -> set[tuple[str, str]]:
    """(importer, imported module) of every import that reaches into a room from outside."""
    found = set()
    for importer in graph.modules:
        if importer.split(".")[0] not in packages or importer.endswith(".__main__"):
            continue
        for imported in graph.find_modules_directly_imported_by(importer):
            if imported.split(".")[0] not in packages or graph.find_children(imported):
                continue
            room = imported.rpartition(".")[0]
            if room not in packages and room != _room(graph, importer):
                found.add((importer, imported))
    return found


def _room(graph: ImportGraph, module: str) -> str:
    return module if graph.find_children(module) else module.rpartition(".")[0]
