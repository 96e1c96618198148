"""Dashboards as short files: read, written, expanded to Superset's import format, and checked.

Nothing here imports Superset: the same code runs in Superset's environment (bootstrap, export) and in
the platform's (checks, tests).
"""
