"""rwmfs mounts a recorded state of a bucket read-only."""
