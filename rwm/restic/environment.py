"""The environment and the options of restic and aws: server, account, repository and password.

Secrets are passed in the environment only. docs/configuration.md has the table of what goes where.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

from rwm import process
from rwm.config import Config, Credentials, S3Settings, prefers_virtual_hosts, without_proxy_variables
from rwm.errors import ConfigError
from rwm.location import Location
from rwm.names import NAME_MAX
from rwm.restic.aws_config import config_with_addressing

_OTHER_ACCOUNT = (
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "RESTIC_AWS_ASSUME_ROLE_ARN",
)

_READABLE = 160  # bytes of a longer name that are kept
_PASSWORDS = ("RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND", "RESTIC_REPOSITORY_FILE")


def s3_environment(config: Config, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """``base`` with the settings of the configuration, without variables of any other account.

    Temporary credentials are valid now; the program does not renew them.
    """
    settings = config.s3_settings(base)
    keys = _current_credentials(settings)
    inherited = {name: value for name, value in without_proxy_variables(base).items() if name not in _OTHER_ACCOUNT}
    return (
        inherited
        | settings.proxies.for_programs(settings.endpoint_url)
        | {
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
            "AWS_DEFAULT_REGION": settings.region,
        }
        | ({"AWS_SESSION_TOKEN": keys.session_token} if keys.session_token else {})
        | ({"AWS_CA_BUNDLE": str(settings.ca_file.path)} if settings.ca_file else {})
    )


def _current_credentials(settings: S3Settings) -> Credentials:
    if isinstance(settings.credentials, Credentials):
        return settings.credentials
    from rwm.s3 import current_credentials  # here, because importing boto3 takes longer than all else

    return current_credentials(settings)


def aws_environment(config: Config, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for the aws command, which this process then becomes.

    If aws would use another addressing style than the settings, it gets a changed copy of its configuration file.
    """
    variables = s3_environment(config, base)
    path = Path(base.get("AWS_CONFIG_FILE") or "~/.aws/config")
    try:
        text = path.expanduser().read_text()
    except (OSError, ValueError, RuntimeError):  # no file, no text, no home directory
        text = ""
    changed = config_with_addressing(text, config.s3_settings(base).addressing)
    return variables if changed is None else variables | {"AWS_CONFIG_FILE": process.inherited_file("config", changed)}


def restic_options(config: Config, given: Sequence[str] = (), base: Mapping[str, str] = os.environ) -> list[str]:
    """Options with which restic follows the settings, to be placed before its command.

    Only those where restic's own choice differs, and that ``given``, its other arguments, do not contain already.
    """
    settings = config.s3_settings(base)
    options = []
    if settings.ca_file and not settings.ca_file.is_system:
        options.append(f"--cacert={settings.ca_file.path}")
    own_choice = "virtual" if prefers_virtual_hosts(settings.endpoint_url) else "path"
    if settings.addressing != own_choice and not any("s3.bucket-lookup=" in argument for argument in given):
        options.append(f"--option=s3.bucket-lookup={'dns' if settings.addressing == 'virtual' else 'path'}")
    return options


def restic_environment(config: Config, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for restic, with the repository and password of the configuration. Raises ConfigError.

    restic gets one cache directory for each location. It identifies a repository by its id, which a mounted state or a
    restored bucket shares with the attacked bucket, and would use there what it cached of the attack.
    """
    variables = {name: value for name, value in s3_environment(config, base).items() if name not in _PASSWORDS}
    endpoint, location = config.required("s3_endpoint_url"), config.location
    variables.setdefault("RESTIC_CACHE_DIR", str(config.restic_cache_dir / cache_name(endpoint, location)))
    variables["RESTIC_REPOSITORY"] = f"s3:{endpoint}/{quote(str(location))}"  # restic decodes it, as any URL
    return variables | _password(config)


def local_environment(config: Config, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for restic on a local repository, which is an argument: the password and no key of S3.

    Raises ConfigError without a password.
    """
    variables = {name: value for name, value in base.items() if not name.startswith(("AWS_", "RESTIC_", "RWM_"))}
    return variables | _password(config)


def _password(config: Config) -> dict[str, str]:
    """The variable of the configured password. Raises ConfigError."""
    if config.restic_password:
        return {"RESTIC_PASSWORD": config.restic_password.get_secret_value()}
    if config.restic_password_file:
        return {"RESTIC_PASSWORD_FILE": str(config.restic_password_file)}
    if config.restic_password_command:
        return {"RESTIC_PASSWORD_COMMAND": config.restic_password_command}
    raise ConfigError(
        f"the configuration {config.path} sets no restic password",
        hint="set restic_password, restic_password_file or restic_password_command",
    )


def cache_name(endpoint: str, location: Location) -> str:
    """The name of the cache directory of a repository: readable, different for each, and short enough for a file."""
    name = quote(f"{urlsplit(endpoint).netloc}_{location}", safe=":")
    if len(name) <= NAME_MAX:
        return name
    return f"{name[:_READABLE]}%-{hashlib.sha256(name.encode()).hexdigest()}"  # no quoted text has "%-" in it


def password_length(config: Config) -> int | None:
    """Characters of the password that restic gets; None where only a command knows it, or its file is unreadable."""
    if config.restic_password:
        return len(config.restic_password.get_secret_value())
    if config.restic_password_file:
        try:
            return len(config.restic_password_file.read_text().strip())  # restic strips it too
        except (OSError, ValueError):
            return None
    return None
