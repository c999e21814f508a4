"""Commands in a directory of their own, as a person types them."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rwm import process
from rwm.config import Credentials
from tests import programs

BIN = Path(sys.executable).parent


class Shell:
    """Runs rwm, rwmfs and other programs in ``directory``; both programs are found first on the PATH."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self.directory = directory
        self.environment = {**os.environ, "PATH": f"{BIN}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **variables}

    def __call__(self, *words: str | Path, code: int | None = 0, **variables: str) -> process.Completed:
        """Run the command, and check its exit code unless that is None."""
        argv = [str(word) for word in words]
        run = programs.run if argv[0] in programs.MAIN else process.run
        done = run(argv, env={**self.environment, **variables}, cwd=self.directory)
        assert code is None or done.returncode == code, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def json(self, *words: str | Path, code: int = 0) -> Any:
        """Run a command with ``--json`` and return the one document on its stdout."""
        return json.loads(self(*words, "--json", code=code).stdout)

    def line(self, text: str, code: int | None = 0) -> process.Completed:
        """Run a line of shell."""
        words = shlex.split(text)
        simple = words[0] in programs.MAIN and not re.search(r"[|&;<>$`*?]", text)
        return self(*words, code=code) if simple else self("bash", "-c", text, code=code)

    def configure(self, name: str, endpoint: str, account: Credentials, more: Mapping[str, Any] | None = None) -> Path:
        """Write a private configuration; the index and the lock lie in the directory too."""
        path = self.directory / name
        values = {
            "s3_endpoint_url": endpoint,
            "s3_access_key": account.access_key,
            "s3_secret_key": account.secret_key,
            "index_path": str(self.directory / "index" / "index.sqlite"),
            "lock_path": str(self.directory / "backup.lock"),
            **(more or {}),
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(values))
        return path
