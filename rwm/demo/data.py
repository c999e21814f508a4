"""Files worth backing up: documents that compress and pictures that do not, and a second day's changes to them."""

from __future__ import annotations

import random
from pathlib import Path

MIB = 1 << 20
_WORDS = "invoice contract letter minutes budget order offer report figures harvest delivery address".split()  # noqa: SIM905


def make(root: Path, total: int = 240 * MIB) -> int:
    """Write about ``total`` bytes of files below ``root`` and return how many files."""
    draw = random.Random(2024)  # noqa: S311 - the same files in every demo
    count = written = 0
    for number in range(400):
        text = "\n".join(" ".join(draw.choices(_WORDS, k=12)) for _ in range(draw.randrange(20, 1500)))
        path = root / "documents" / f"{number % 20:02}" / f"{_WORDS[number % len(_WORDS)]} {number}.txt"
        written += _write(path, text.encode())
        count += 1
    while written < total:
        path = root / "pictures" / f"{2000 + count % 24}" / f"IMG_{count:05}.jpg"
        written += _write(path, draw.randbytes(draw.randrange(MIB // 2, 6 * MIB)))
        count += 1
    return count


def change(root: Path) -> int:
    """A day's work: some documents rewritten, some removed, new pictures. Returns how many files were touched."""
    draw = random.Random(2025)  # noqa: S311
    documents = sorted((root / "documents").rglob("*.txt"))
    for path in documents[::10]:
        path.write_text(path.read_text() + "\nsigned\n")
    for path in documents[5::40]:
        path.unlink()
    for number in range(5):
        _write(root / "pictures" / "2025" / f"NEW_{number}.jpg", draw.randbytes(3 * MIB))
    return len(documents[::10]) + len(documents[5::40]) + 5


def _write(path: Path, data: bytes) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return len(data)
