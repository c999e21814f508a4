"""Sizes of the measurements: published figures use the defaults, ``--small`` is for a quick try."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

SMALL = {"objects": 20_000, "days": 10, "rounds": 1, "versions": 5_000, "real": 500, "size": 60}


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes of one run.

    ``objects`` of a large state; ``days`` with a state each; ``rounds`` of repeated measurements; ``versions`` listed
    from prepared pages; ``real`` objects listed from a real server; ``delay`` seconds before each page of a slow
    server; ``size`` MiB of files to restore; ``slow_rounds`` over a slow link; ``minutes`` of a soak.
    """

    objects: int = 1_000_000
    days: int = 365
    rounds: int = 3
    versions: int = 50_000
    real: int = 20_000
    delay: float = 0.05
    size: int = 1000
    slow_rounds: int = 1
    minutes: float = 10.0


def parse_arguments(
    arguments: Sequence[str], default: Sequence[str], on_request: Sequence[str] = ()
) -> tuple[list[str], Options]:
    """(parts to run in their order, sizes). Parts in ``on_request`` run only if named.

    Exits with 2 on invalid arguments, with 0 after ``--help``.
    """
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure RWM beside named peers.")
    parts = [*default, *on_request]
    only = f"; only if named: {', '.join(on_request)}" if on_request else ""
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"which ones (default: {', '.join(default)}{only})")
    defaults = Options()
    rounds = f"{defaults.rounds}, and {defaults.slow_rounds} over a slow link"
    parser.add_argument("--objects", type=_positive, help=f"objects of a large state ({defaults.objects})")
    parser.add_argument("--days", type=_positive, help=f"days with a state each ({defaults.days})")
    parser.add_argument("--rounds", type=_positive, help=f"rounds of which the median is taken ({rounds})")
    parser.add_argument("--versions", type=_positive, help=f"versions listed from prepared pages ({defaults.versions})")
    parser.add_argument("--real", type=_positive, help=f"objects listed from a real server ({defaults.real})")
    parser.add_argument("--delay", type=float, help=f"seconds before each page of a slow server ({defaults.delay})")
    parser.add_argument("--size", type=_positive, help=f"MiB of files that are restored ({defaults.size})")
    parser.add_argument("--minutes", type=_minutes, help=f"minutes of a soak ({defaults.minutes:g})")
    parser.add_argument("--small", action="store_true", help="small sizes, for a quick try")
    chosen = vars(parser.parse_args(arguments))
    names: list[str] = chosen.pop("parts")
    unknown = [name for name in names if name not in parts]
    if unknown:
        parser.error(f"no part is called {', '.join(unknown)}; there are: {', '.join(parts)}")
    sizes = SMALL if chosen.pop("small") else {}
    sizes = {**sizes, **{name: value for name, value in chosen.items() if value is not None}}
    if chosen["rounds"] is not None:
        sizes["slow_rounds"] = sizes["rounds"]
    return [name for name in parts if name in (names or default)], Options(**sizes)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _minutes(text: str) -> float:
    number = float(text)
    if not 0 < number < 100_000:
        raise ValueError(text)
    return number
