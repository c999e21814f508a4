"""Sample files to back up: documents that compress, pictures that do not, and the changes of a day. Repeatable."""

from __future__ import annotations

import random
from pathlib import Path

MIB = 1 << 20
_WORDS = "invoice contract letter minutes budget order offer report figures harvest delivery address".split()  # noqa: SIM905


def make_files(root: Path, total: int = 240 * MIB) -> int:
    """Write about ``total`` bytes of files below ``root``. Returns the number of files."""
    rng = random.Random(2024)  # noqa: S311 - a fixed seed makes the same files each time
    count = written = 0
    for number in range(400):
        text = "\n".join(" ".join(rng.choices(_WORDS, k=12)) for _ in range(rng.randrange(20, 1500)))
        path = root / "documents" / f"{number % 20:02}" / f"{_WORDS[number % len(_WORDS)]} {number}.txt"
        written += _write(path, text.encode())
        count += 1
    while written < total:
        path = root / "pictures" / f"{2000 + count % 24}" / f"IMG_{count:05}.jpg"
        written += _write(path, rng.randbytes(rng.randrange(MIB // 2, 6 * MIB)))
        count += 1
    return count


def change_files(root: Path) -> int:
    """Change some documents, remove some, and add pictures. Returns the number of files concerned."""
    rng = random.Random(2025)  # noqa: S311
    documents = sorted((root / "documents").rglob("*.txt"))
    for path in documents[::10]:
        path.write_text(path.read_text() + "\nsigned\n")
    for path in documents[5::40]:
        path.unlink()
    for number in range(5):
        _write(root / "pictures" / "2025" / f"NEW_{number}.jpg", rng.randbytes(3 * MIB))
    return len(documents[::10]) + len(documents[5::40]) + 5


def _write(path: Path, content: bytes) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return len(content)
