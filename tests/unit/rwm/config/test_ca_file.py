"""The file of certificate authorities: the setting, a variable, or the system's store."""

from __future__ import annotations

from pathlib import Path

import pytest

from rwm.config.ca_file import SYSTEM_FILES, CaFile, check_ca_file, choose_ca_file
from rwm.errors import ConfigError

OWN = Path("/etc/rwm/ca.pem")
ALL = {"AWS_CA_BUNDLE": "/aws", "REQUESTS_CA_BUNDLE": "/requests", "SSL_CERT_FILE": "/ssl"}


@pytest.mark.parametrize(
    ("configured", "environment", "shown", "is_system"),
    [
        (OWN, ALL, "/etc/rwm/ca.pem (s3_ca_file)", False),
        (None, ALL, "/aws (AWS_CA_BUNDLE)", False),
        (None, ALL | {"AWS_CA_BUNDLE": ""}, "/requests (REQUESTS_CA_BUNDLE)", False),
        (None, {"SSL_CERT_FILE": "/ssl"}, "/ssl (SSL_CERT_FILE)", True),
        (None, {}, f"{SYSTEM_FILES[1]} (the system's store)", True),
    ],
)
def test_the_first_that_is_set(
    configured: Path | None, environment: dict[str, str], shown: str, is_system: bool
) -> None:
    found = choose_ca_file(configured, environment, lambda path: path == SYSTEM_FILES[1])
    assert found is not None
    assert (str(found), found.is_system) == (shown, is_system)


def test_a_system_without_a_store_in_one_file() -> None:
    assert choose_ca_file(None, {}, lambda _: False) is None


def test_an_unusable_file_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    for path, cause in (
        (tmp_path / "none.pem", "No such file"),
        (tmp_path, "Is a directory"),
        (empty, "no certificate"),
    ):
        with pytest.raises(ConfigError, match=cause) as error:
            check_ca_file(CaFile(path, "s3_ca_file"))
        assert error.value.message.startswith(f"s3_ca_file {path}")
