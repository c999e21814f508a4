"""Measurements: each claim as a ratio to a named peer, both measured in the same run."""
