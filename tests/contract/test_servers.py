"""The test servers behave as the other tests assume."""

from __future__ import annotations

import pytest

from rwm import process
from rwm.errors import AccessDenied
from tests.servers import Server


def test_put_and_get(any_server: Server) -> None:
    s3 = any_server.connect()
    s3.create_bucket("servers-put")
    s3.put("servers-put", "key", b"body")
    assert s3.get("servers-put", "key") == b"body"


def test_wrong_keys_are_refused(server: Server) -> None:
    s3 = server.connect()
    s3.create_bucket("servers-keys")
    stranger = type(server)(
        server.name, server.endpoint, server.region, {"admin": server.accounts["admin"]._replace(secret_key="x" * 40)}
    )
    with pytest.raises(AccessDenied):
        stranger.connect().put("servers-keys", "key", b"")


def test_accounts(server: Server) -> None:
    assert {"admin", "user1", "user2"} <= set(server.accounts)
    keys = {key for account in server.accounts.values() for key in (account.access_key, account.secret_key)}
    assert len(keys) == 2 * len(server.accounts)


def test_tenants(rgw: Server) -> None:
    rgw.connect("t1$admin").create_bucket("servers-tenant")
    assert rgw.connect("t1$admin").owner_id() == "t1$admin"
    assert not rgw.connect("admin").bucket_exists("servers-tenant")


def test_restic_and_aws_find_their_keys(server: Server) -> None:
    server.connect().create_bucket("servers-restic")
    env = {**server.environment("admin"), "RESTIC_PASSWORD": "x"}
    done = process.run(["restic", "-r", f"s3:{server.endpoint}/servers-restic", "init"], env=env)
    assert done.returncode == 0, done.stderr
    done = process.run(["aws", "--endpoint-url", server.endpoint, "s3", "ls", "s3://servers-restic/"], env=env)
    assert "config" in done.stdout, done.stderr
