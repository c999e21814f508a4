"""Grants of policies in unusual forms. That equal policies have equal grants is in ``test_drift.py``."""

from __future__ import annotations

from rwm.storage.grants import NOBODY, principals


def test_a_statement_without_a_principal() -> None:
    assert principals({"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}) == {NOBODY}
