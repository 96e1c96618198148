"""How Dagster's processes are started, kept loaded and followed."""
