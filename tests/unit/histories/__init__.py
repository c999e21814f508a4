"""Tests of what the tests of the audit are made with."""
