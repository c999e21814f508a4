"""Measurements: RWM beside named peers, measured in the same run and compared as a ratio."""
