"""Syntax tree of a view -> logical plan: every path gets its FHIR type and cardinality."""
