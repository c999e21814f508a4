"""Histories of buckets with restic repositories: simulated ones, attacks on them, and a recorded corpus of real ones.

Begin reading at ``bucket.py``: a versioned bucket in memory; ``restic.py``: what restic writes, step by step;
``generator.py``: honest histories; ``attacks.py``: what an attacker adds; ``stream.py``: a large listing;
``corpus.py``: recorded histories, made by ``record.py``.
"""
