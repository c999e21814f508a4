"""Tests of ``rwm.recover``."""
