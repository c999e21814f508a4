"""Why restic failed, from its exit code or, before restic 0.17, from its message."""

from __future__ import annotations

from rwm import process
from rwm.errors import LockHeld, NotFound, RwmError
from rwm.location import Location

_EXIT_NO_REPOSITORY, _EXIT_LOCKED, _EXIT_WRONG_PASSWORD = 10, 11, 12  # since restic 0.17
_SAYS_NO_REPOSITORY = "Is there a repository at the following location"
_SAYS_LOCKED = "unable to create lock in backend"
_SAYS_WRONG_PASSWORD = "wrong password or no key found"  # noqa: S105


def opens_no_key(done: process.Completed) -> bool:
    """Whether restic ended because the password opens no key of the repository."""
    return _is(done, _EXIT_WRONG_PASSWORD, _SAYS_WRONG_PASSWORD)


def explain_failure(done: process.Completed, command: str, location: Location) -> RwmError:
    """The error of a restic that failed on the repository at a location, with what to do."""
    failed = f"restic {command} of {location}"
    if opens_no_key(done):
        return RwmError(
            f"{failed}: the configured password opens no key of the repository",
            hint="every repository has its own password: configure that of this one (restic_password…)",
        )
    if _is(done, _EXIT_LOCKED, _SAYS_LOCKED):
        return LockHeld(
            f"{failed}: the repository is locked by another run",
            hint="run it again when that has ended; `rwm restic unlock` removes the locks of runs that were killed",
        )
    if _is(done, _EXIT_NO_REPOSITORY, _SAYS_NO_REPOSITORY):
        return NotFound(f"{failed}: there is no repository")
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    ended = f"a signal ended it ({-done.returncode})" if done.returncode < 0 else f"exit code {done.returncode}"
    return RwmError(f"{failed}: {lines[-1] if lines else 'it failed'} ({ended})")


def _is(done: process.Completed, exit_code: int, message: str) -> bool:
    return done.returncode == exit_code or (done.returncode > 0 and message in done.stderr)
