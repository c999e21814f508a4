"""Find and read the configuration file, and let ``RWM_…`` variables override its S3 values."""

from __future__ import annotations

import datetime
import os
import stat
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_config_path
from pydantic import ValidationError

from rwm.config.model import ENVIRONMENT, SECRETS, Config
from rwm.config.yaml_file import parse_yaml
from rwm.errors import ConfigError
from rwm.shell import quote


def search_path() -> list[Path]:
    """The paths searched without ``--config``; the first existing file is used."""
    return [Path("rwm.conf"), user_config_path("rwm") / "rwm.conf", Path("/etc/rwm/rwm.conf")]


def find_config(explicit: str | os.PathLike[str] | None, environment: Mapping[str, str]) -> Path | None:
    """The file to read: the named one, else the first of the search path, else None."""
    named = explicit or environment.get("RWM_CONFIG")
    if named:
        return Path(named)
    return next((path for path in search_path() if path.exists()), None)


def load_config(explicit: str | os.PathLike[str] | None = None, environment: Mapping[str, str] = os.environ) -> Config:
    """Load the configuration. Raises ConfigError with file, key and cause.

    A configuration may contain commands, and the search path may lead into a directory that others can write to. So a
    file that was not named explicitly must belong to us or root, and not be writable by others.
    """
    path = find_config(explicit, environment)
    named = bool(explicit or environment.get("RWM_CONFIG"))
    values: dict[str, Any] = {}
    warnings: tuple[str, ...] = ()
    if path is not None:
        values, warnings = _read(path, named=named)
    variables = _variables(environment)
    if "s3_access_key" in variables:
        values.pop("s3_session_token", None)  # the token of another key
    values |= variables
    context = {"directory": path.absolute().parent if path else None, "variables": frozenset(variables)}
    try:
        return Config.model_validate(values | {"path": path, "warnings": warnings}, context=context)
    except ValidationError as error:
        where = str(path) if path else "the environment"
        problems = [_format_problem(item, variables) for item in error.errors()]
        raise ConfigError(f"{where}: {'; '.join(problems)}") from None


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The values of the ``RWM_…`` variables, by key. A path is relative to where the command is run."""
    found = {key: value for key in ENVIRONMENT if (value := environment.get(f"RWM_{key.upper()}"))}
    if "s3_ca_file" in found and not found["s3_ca_file"].startswith("~"):
        found["s3_ca_file"] = str(Path(found["s3_ca_file"]).absolute())
    return found


def _read(path: Path, *, named: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The values of the file, and warnings. A known key without a value keeps its default."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not named:
                _check_owner(path, status)
            data = file.read()
    except OSError as error:
        raise ConfigError(
            f"configuration {path}: {error.strerror}", hint="check the path in --config, RWM_CONFIG or config="
        ) from error
    values = parse_yaml(path, data, SECRETS)
    for key in values:
        if not isinstance(key, str) or key in ("path", "warnings"):
            raise ConfigError(f"{path}: {key}: unknown key (a typo?)")
    mode = stat.S_IMODE(status.st_mode)
    warning = f"{path} holds secrets and is accessible to others (mode {mode:04o}): chmod 0600 {quote(path)}"
    values = {key: value for key, value in values.items() if value is not None or key not in Config.model_fields}
    return values, (warning,) if mode & 0o077 else ()


def _check_owner(path: Path, status: os.stat_result) -> None:
    """Check the owner of the open file, and of a symbolic link at ``path``, which selects the file."""
    if {status.st_uid, path.lstat().st_uid} - {os.geteuid(), 0}:
        problem = "belongs to another user"
    elif status.st_mode & 0o002:
        problem = f"can be written to by others (mode {stat.S_IMODE(status.st_mode):04o})"
    else:
        return
    raise ConfigError(
        f"configuration {path} was found in the search path, and {problem}",
        hint=f"to use it anyway: --config {quote(path)}",
    )


def _format_problem(item: Any, variables: Container[str]) -> str:
    """Format a pydantic error as ``key: cause``, without the value; a key of ``variables`` with its variable."""
    key = ".".join(str(part) for part in item["loc"]) or "configuration"
    if key in variables:
        key = f"{key} (RWM_{key.upper()})"
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key (a typo?)"
    if item["type"] == "string_type" and (kind := _KINDS.get(type(item["input"]))):
        return f"{key}: YAML reads this as {kind}, not as text: put it in quotes"
    if expected := _EXPECTED.get(item["type"]):
        return f"{key}: {expected}"
    return f"{key}: {item['msg'].removeprefix('Value error, ')}"


_EXPECTED = {
    "string_type": "expected a text",
    "missing": "is required",
    "dict_type": "expected `key: value` lines",
    "model_type": "expected `key: value` lines",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
}
_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    datetime.date: "a date",
    datetime.datetime: "a date",
    bytes: "binary data",
}
