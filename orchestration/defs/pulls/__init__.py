"""Sources that are pulled, on a schedule."""
