"""The configuration: a YAML file, a superset of that of the original tool, and ``RWM_…`` variables for the S3 values.

Error messages never contain secrets: pydantic is set to leave inputs out of them.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from platformdirs import user_cache_path, user_config_path, user_data_path
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from rwm.errors import ConfigError

_ENVIRONMENT = ("s3_endpoint_url", "s3_access_key", "s3_secret_key", "s3_region")
_PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")
_RETENTION_KEYS = tuple(
    f"keep-{name}" for name in ("last", *_PERIODS, "tag", "within", *(f"within-{period}" for period in _PERIODS))
)

# PyYAML quotes the value in its message on `restic_password: !secret` and the like.
_QUOTED_VALUE = re.compile(r" (alias|anchor|tag handle|tag) ['\"].*", re.DOTALL)


def _as_list(value: Any) -> Any:
    """Convert a key without a value to an empty list, and a single string to a list of one."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


def _as_text(value: Any) -> Any:
    """Convert a plain number to text, so that a size needs no quotes."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Strings = Annotated[list[str], BeforeValidator(_as_list)]
Size = Annotated[str, BeforeValidator(_as_text)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class BackupConfig(_Strict):
    """One entry of ``backups``. ``prerun`` and ``postrun`` are shell commands; ``extras`` are restic arguments."""

    filesdirs: Strings
    excludes: Strings = []
    tags: Strings = []
    extras: Strings = []
    prerun: Strings = []
    postrun: Strings = []


class Config(_Strict):
    """A whole configuration.

    ``path`` is the file it was read from (None: only the environment); ``warnings`` are to be shown to the user.
    """

    s3_endpoint_url: str | None = None
    s3_access_key: str | None = None
    s3_secret_key: SecretStr | None = None
    s3_region: str = "us-east-1"
    restic_bucket: str | None = None
    restic_password: SecretStr | None = None
    restic_password_file: Path | None = None
    restic_password_command: str | None = None
    backups: dict[str, BackupConfig] = {}
    backup_extras: Strings = []
    retention: dict[str, str] = {}
    lock_path: Path = Field(default_factory=lambda: user_data_path("rwm") / "backup.lock")
    autotags: bool = False
    index_path: Path = Field(default_factory=lambda: user_data_path("rwm") / "index.sqlite")
    cache_dir: Path = Field(default_factory=lambda: user_cache_path("rwm"))
    cache_size: Size = "4G"
    path: Path | None = Field(default=None, exclude=True)
    warnings: tuple[str, ...] = Field(default=(), exclude=True)

    @field_validator("restic_password_file", "lock_path", "index_path", "cache_dir")
    @classmethod
    def _expand_home(cls, value: Path | None) -> Path | None:
        try:
            return value and value.expanduser()
        except RuntimeError as error:
            raise ValueError("the home directory of ~ is unknown") from error

    @field_validator("retention", mode="before")
    @classmethod
    def _check_retention(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        unknown = [str(key) for key in value if key not in _RETENTION_KEYS]
        if unknown:
            raise ValueError(
                f"{', '.join(unknown)} is not a retention option of restic forget: {' '.join(_RETENTION_KEYS)}"
            )
        empty = [key for key, count in value.items() if not isinstance(count, str | int) or isinstance(count, bool)]
        if empty:
            raise ValueError(f"{', '.join(empty)} needs a number or a duration as its value")
        return {key: str(count) for key, count in value.items()}

    def s3_settings(self) -> tuple[str, str, str, str]:
        """(endpoint URL, access key, secret key, region). Raises ConfigError for a missing one."""
        endpoint, access = self.required("s3_endpoint_url"), self.required("s3_access_key")
        secret = self.s3_secret_key.get_secret_value() if self.s3_secret_key else ""
        if not secret:
            raise self._missing("s3_secret_key")
        return endpoint, access, secret, self.s3_region

    def required(self, key: str) -> str:
        """The value of ``key`` as text. Raises ConfigError if it is not set."""
        value = getattr(self, key)
        if not value:
            raise self._missing(key)
        return str(value)

    def _missing(self, key: str) -> ConfigError:
        where = (
            f"the configuration {self.path}" if self.path else "no configuration file was found, and the environment"
        )
        also = f", or RWM_{key.upper()} in the environment" if key in _ENVIRONMENT else ""
        return ConfigError(f"{where} does not set {key}", hint=f"set {key} in the file (see examples/){also}")


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
    for key in _ENVIRONMENT:
        if variable := environment.get(f"RWM_{key.upper()}"):
            values[key] = variable
    try:
        return Config(**values, path=path, warnings=warnings)
    except ValidationError as error:
        where = str(path) if path else "the environment"
        raise ConfigError(f"{where}: {'; '.join(_format_problem(item) for item in error.errors())}") from None


def _read(path: Path, *, named: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The values of the file, and warnings. A known key without a value keeps its default."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not named:
                _check_owner(path, status)
            values = yaml.safe_load(file)
    except OSError as error:
        raise ConfigError(f"configuration {path}: {error.strerror}", hint="name another file with --config") from error
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:  # PyYAML raises them all
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        problem = _QUOTED_VALUE.sub(r" \1", getattr(error, "problem", None) or "bad text")
        hint = "quote values with special characters, and values that look like dates"
        raise ConfigError(f"{path}:{place} not valid YAML ({problem})", hint=hint) from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected `key: value` lines at the top level")
    for key in values:
        if not isinstance(key, str) or key in ("path", "warnings"):
            raise ConfigError(f"{path}: {key}: unknown key (a typo?)")
    mode = stat.S_IMODE(status.st_mode)
    warning = f"{path} holds secrets and is accessible to others (mode {mode:04o}): chmod 0600 {path}"
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
        f"configuration {path} was found in the search path, and {problem}", hint=f"to use it anyway: --config {path}"
    )


def _format_problem(item: Any) -> str:
    """Format a pydantic error as ``key: cause``, without the value."""
    key = ".".join(str(part) for part in item["loc"]) or "configuration"
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key (a typo?)"
    return f"{key}: {item['msg'].removeprefix('Value error, ')}"
