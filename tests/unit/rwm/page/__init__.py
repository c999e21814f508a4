"""Tests of the page of an audit."""
