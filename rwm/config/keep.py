"""The keep rules for states, and how their versions are locked: ``keep`` and ``lock`` in the configuration. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from rwm.errors import UsageError
from rwm.times import parse_long_duration, parse_restic_duration

UNLIMITED = "unlimited"

_COUNT = re.compile(rf"\d{{1,6}}|{UNLIMITED}", re.ASCII)


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def is_keep_count(text: str) -> bool:
    """Whether a text is the number of a keep rule, or ``unlimited``."""
    return _COUNT.fullmatch(text) is not None


def _check_count(value: str) -> str:
    if not is_keep_count(value):
        raise ValueError(f"expected a number, or {UNLIMITED}")
    return value


def _checked_by(parse: Callable[[str], int]) -> Callable[[str], str]:
    """A validator that keeps the text of a duration, which ``parse`` must understand."""

    def check(value: str) -> str:
        try:
            parse(value)
        except UsageError as error:
            raise ValueError(f"expected a duration: {error.hint}") from error
        return value

    return check


Count = Annotated[str, BeforeValidator(_as_text), AfterValidator(_check_count)]
KeepDuration = Annotated[str, BeforeValidator(_as_text), AfterValidator(_checked_by(parse_restic_duration))]
Interval = Annotated[str, BeforeValidator(_as_text), AfterValidator(_checked_by(parse_long_duration))]


class KeepConfig(BaseModel):
    """How many states are kept, by rules with the names and the meaning of those of `restic forget`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    last: Count | None = None
    within: KeepDuration | None = None
    hourly: Count | None = None
    daily: Count | None = None
    weekly: Count | None = None
    monthly: Count | None = None
    yearly: Count | None = None

    def rules(self) -> dict[str, str]:
        """The rules that are set, by name."""
        return {name: value for name, value in self if value is not None}


class LockConfig(BaseModel):
    """How `rwm lock` locks: the mode of new locks, how often it is run, and by how much a lock is extended.

    Without ``mode`` it is that of the bucket's default retention, else governance.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    mode: Literal["governance", "compliance"] | None = None
    every: Interval = "1d"
    step: Interval = "10d"
