"""Servers for all tests, a private home for each, and no skipping."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests import restics, sdk, servers
from tests.servers import Server

sdk.parse_once()
# A slow machine is no failure.
hypothesis.settings.register_profile("rwm", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("rwm")


def pytest_configure(config: pytest.Config) -> None:
    """Restore default signal handlers: a child of a script or of nohup inherits ignored signals."""
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGTERM, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_report_header() -> str:
    """Which restics the tests run."""
    return "; ".join(f"{name}: {program}" for name, program in restics.PROGRAMS.items())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count a skipped test as failed, and one that is expected to fail."""
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which counts as failed: {call.excinfo and call.excinfo.value}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Count a module that skips itself as failed."""
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped, which counts as failed: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """Remove the keys, configuration, proxies and CA files of the caller from the environment."""
    theirs = ("AWS_", "RESTIC_", "RWM_", "RGW_", "CEPH_", "REQUESTS_CA_BUNDLE", "SSL_CERT_")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(theirs) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, the only one that a test and its children know; the XDG directories are in it."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name, place in {
        "XDG_CONFIG_HOME": ".config",
        "XDG_CACHE_HOME": ".cache",
        "XDG_DATA_HOME": ".local/share",
        "XDG_STATE_HOME": ".local/state",
    }.items():
        monkeypatch.setenv(name, str(home / place))
    return home


@pytest.fixture(scope="session")
def seaweedfs(_clean_environment: None) -> Iterator[Server]:
    """SeaweedFS for the whole run; make buckets of your own."""
    with servers.seaweedfs() as server:
        yield server


@pytest.fixture(scope="session")
def rgw(_clean_environment: None) -> Iterator[Server]:
    """Ceph RGW for the whole run; make buckets of your own."""
    with servers.rgw() as server:
        yield server


@pytest.fixture(scope="session")
def moto(_clean_environment: None) -> Iterator[Server]:
    """moto for the whole run; make buckets of your own."""
    with servers.moto() as server:
        yield server


@pytest.fixture(params=["seaweedfs", "rgw"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each real server in turn."""
    chosen = request.getfixturevalue(request.param)
    assert isinstance(chosen, Server)
    return chosen


@pytest.fixture(params=["seaweedfs", "rgw", "moto"])
def any_server(request: pytest.FixtureRequest) -> Server:
    """Each server in turn, moto too: for tests that claim nothing about rights."""
    chosen = request.getfixturevalue(request.param)
    assert isinstance(chosen, Server)
    return chosen


@pytest.fixture(params=list(restics.PROGRAMS))
def restic_program(request: pytest.FixtureRequest) -> str:
    """The path of each restic in turn."""
    return restics.program(request.param)
