"""The keys of a configuration, and what is checked of their values. No message contains a secret."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from platformdirs import user_cache_path, user_data_path
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from rwm.config.ca_file import check_ca_file, choose_ca_file
from rwm.config.endpoint import normalise_endpoint
from rwm.config.keep import KeepConfig, LockConfig
from rwm.config.proxy import ProxyVariables
from rwm.config.s3_settings import Credentials, InstanceRole, Profile, S3Settings, resolve_addressing
from rwm.errors import ConfigError, UsageError
from rwm.location import Location

ENVIRONMENT = (
    "s3_endpoint_url",
    "s3_access_key",
    "s3_secret_key",
    "s3_session_token",
    "s3_profile",
    "s3_instance_role",
    "s3_region",
    "s3_addressing",
    "s3_ca_file",
)
"""Keys that ``RWM_…`` variables override."""

SECRETS = ("s3_access_key", "s3_secret_key", "s3_session_token", "restic_password")
"""Keys whose values are taken literally, or refused."""

_PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")
_RETENTION_KEYS = tuple(
    f"keep-{name}" for name in ("last", *_PERIODS, "tag", "within", *(f"within-{period}" for period in _PERIODS))
)


def _as_list(value: Any) -> Any:
    """Convert a key without a value to an empty list, and a single string to a list of one."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


def _as_text(value: Any) -> Any:
    """Convert a plain number to text, so that a size needs no quotes."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


PASSWORD_KEYS = ("restic_password", "restic_password_file", "restic_password_command")
"""Where restic's password comes from: one of them."""

_KEYS = ("s3_access_key", "s3_secret_key", "s3_session_token")
"""One source of credentials; the others are ``s3_profile`` and ``s3_instance_role``."""


def resolve_path(path: Path, directory: Path | None) -> Path:
    """``path`` with ``~`` expanded; a relative one is below ``directory``, that of the configuration file.

    Raises ValueError for the home directory of an unknown user.
    """
    try:
        path = path.expanduser()
    except RuntimeError as error:
        raise ValueError("the home directory of ~ is unknown") from error
    return path if directory is None else directory / path


def _resolve_text(source: str, directory: Path | None) -> str:
    """:func:`resolve_path` that leaves the rest as it is written: restic follows a link that ends in a slash."""
    path = Path(source)
    if source.startswith("~"):
        home, _, rest = source.partition("/")
        return f"{resolve_path(Path(home), None)}/{rest}" if rest else str(resolve_path(Path(home), None))
    return source if directory is None or path.is_absolute() else f"{directory}/{source}"


def check_options(values: list[str]) -> list[str]:
    """Refuse an option and its value in one item, which restic takes for one unknown option."""
    for value in values:
        option, blank, _ = value.partition(" ")
        if blank and option.startswith("-") and "=" not in option:
            raise ValueError(f"{option} and its value are one item: write them as two, or as {option}=…")
    return values


Strings = Annotated[list[str], BeforeValidator(_as_list)]
Size = Annotated[str, BeforeValidator(_as_text)]


class _Strict(BaseModel):
    """Unknown names are errors, values do not change, and errors do not show them."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class BackupConfig(_Strict):
    """One entry of ``backups``. ``prerun`` and ``postrun`` are shell commands; ``extras`` are restic arguments.

    The backup fails without a path of ``require``, and with ``mounted`` if a source is on the root file system.
    """

    filesdirs: Strings
    require: Strings = []
    mounted: bool = False
    excludes: Strings = []
    tags: Strings = []
    extras: Strings = []
    prerun: Strings = []
    postrun: Strings = []

    @field_validator("filesdirs", "require")
    @classmethod
    def _resolve(cls, values: list[str], info: ValidationInfo) -> list[str]:
        directory = (info.context or {}).get("directory")
        return [_resolve_text(value, directory) for value in values]

    @field_validator("extras")
    @classmethod
    def _check_options(cls, values: list[str]) -> list[str]:
        return check_options(values)


class AuditConfig(_Strict):
    """Settings of ``rwm audit``. Findings with a code in ``except`` are not reported.

    ``after_backup``: whether `rwm backup` audits the bucket after the capture.
    """

    except_: Strings = Field(default=[], alias="except")
    after_backup: bool = True


class Config(_Strict):
    """A whole configuration.

    ``path`` is the file it was read from (None: only the environment); ``warnings`` are to be shown to the user.
    """

    s3_endpoint_url: str | None = None
    s3_access_key: str | None = None
    s3_secret_key: SecretStr | None = None
    s3_session_token: SecretStr | None = None
    s3_profile: str | None = None
    s3_instance_role: bool = False
    s3_region: str = "us-east-1"
    s3_addressing: Literal["path", "virtual", "auto"] = "path"
    s3_ca_file: Path | None = None
    restic_bucket: str | None = None
    restic_password: SecretStr | None = None
    restic_password_file: Path | None = None
    restic_password_command: str | None = None
    backups: dict[str, BackupConfig] = {}
    backup_extras: Strings = []
    restic_extras: Strings = []
    retention_extras: Strings = []
    retention: dict[str, str] = {}
    keep: KeepConfig = KeepConfig()
    lock: LockConfig = LockConfig()
    audit: AuditConfig = AuditConfig()
    lock_path: Path = Field(default_factory=lambda: user_data_path("rwm") / "backup.lock")
    autotags: bool = False
    index_path: Path = Field(default_factory=lambda: user_data_path("rwm") / "index.sqlite")
    log_path: Path | None = None
    cache_dir: Path = Field(default_factory=lambda: user_cache_path("rwm"))
    cache_size: Size = "4G"
    path: Path | None = Field(default=None, exclude=True)
    warnings: tuple[str, ...] = Field(default=(), exclude=True)

    @field_validator("s3_ca_file", "restic_password_file", "lock_path", "index_path", "log_path", "cache_dir")
    @classmethod
    def _resolve(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        return value and resolve_path(value, (info.context or {}).get("directory"))

    @field_validator("restic_bucket")
    @classmethod
    def _check_location(cls, value: str | None) -> str | None:
        """Normalise ``bucket`` or ``bucket/prefix``."""
        try:
            return value and str(Location.parse(value))
        except UsageError as error:
            raise ValueError(f"{error.message}; {error.hint}") from error

    @field_validator("backup_extras", "restic_extras", "retention_extras")
    @classmethod
    def _check_options(cls, values: list[str]) -> list[str]:
        return check_options(values)

    @field_validator("s3_endpoint_url")
    @classmethod
    def _normalise_endpoint(cls, value: str | None) -> str | None:
        return normalise_endpoint(value) if value else value

    @field_validator(*SECRETS)
    @classmethod
    def _check_ends(cls, value: SecretStr | str | None) -> SecretStr | str | None:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value or ""
        if text != text.strip():
            raise ValueError("has white space or a line end at one of its ends, which programs drop: write it without")
        return value

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        given = [key for key in PASSWORD_KEYS if getattr(self, key)]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both set: keep the one that is meant")
        return self

    @model_validator(mode="after")
    def _one_source_of_credentials(self, info: ValidationInfo) -> Self:
        keys = next((key for key in _KEYS if getattr(self, key)), None)
        given = [key for key in (keys, "s3_profile", "s3_instance_role") if key and getattr(self, key)]
        if len(given) > 1:
            variables = (info.context or {}).get("variables", ())
            named = [f"{key} (RWM_{key.upper()})" if key in variables else key for key in given]
            raise ValueError(f"{' and '.join(named)} are sources of credentials: keep the one that is meant")
        return self

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

    def s3_settings(self, environment: Mapping[str, str] = os.environ) -> S3Settings:
        """Server and account, with the proxy and the CA file of the environment. Raises ConfigError."""
        endpoint, credentials = self.required("s3_endpoint_url"), self._credentials()
        needs_tls = endpoint.startswith("https:") or not isinstance(credentials, Credentials)
        ca_file = choose_ca_file(self.s3_ca_file, environment) if needs_tls else None
        if ca_file:
            check_ca_file(ca_file)
        return S3Settings(
            endpoint,
            credentials,
            self.s3_region,
            resolve_addressing(self.s3_addressing, endpoint),
            ca_file,
            ProxyVariables.read(environment),
        )

    def _credentials(self) -> Credentials | Profile | InstanceRole:
        if self.s3_profile:
            return Profile(self.s3_profile)
        if self.s3_instance_role:
            return InstanceRole()
        access_key = self.required("s3_access_key")
        secret = self.s3_secret_key.get_secret_value() if self.s3_secret_key else ""
        if not secret:
            raise self._missing("s3_secret_key")
        token = self.s3_session_token.get_secret_value() if self.s3_session_token else ""
        return Credentials(access_key, secret, token or None)

    @property
    def location(self) -> Location:
        """Where the repository is, from ``restic_bucket``. Raises ConfigError if it is not set."""
        return Location.parse(self.required("restic_bucket"))

    @property
    def restic_cache_dir(self) -> Path:
        """Where `rwm restic` and `rwm backup` keep restic's caches, apart from the one of plain restic on a mount."""
        return self.cache_dir.with_name(f"{self.cache_dir.name}-restic")

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
        also = f", or RWM_{key.upper()} in the environment" if key in ENVIRONMENT else ""
        instead = "; or set s3_profile or s3_instance_role" if key == "s3_access_key" else ""
        return ConfigError(f"{where} does not set {key}", hint=f"set {key} in the file (see examples/){also}{instead}")
