"""Logical plan -> SQL, in any dialect: a dialect says how lists, structs and FHIR's values are written.

`dialect.py` names what dialects differ in, `expressions.py` writes expressions with it, `statement.py`
rows and the whole statement. A dialect is a subclass of `Statement` (see `sql_on_fhir.duckdb`).
"""
