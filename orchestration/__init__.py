"""Dagster only: thin adapters that draw and drive the functions of the other packages."""
