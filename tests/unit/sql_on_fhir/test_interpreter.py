"""The interpreter that the SQL is held against passes the conformance suite too."""

import json

import pytest

from sql_on_fhir import FhirPathError, SqlOnFhirError, plan
from tests.conformance.suite import Case, _sorted, cases
from tests.unit.sql_on_fhir.interpreter import ManyValuesError, read_json, rows_of


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: f"{case.file}: {case.title}")
def test_the_interpreter_agrees_with_the_suite(case: Case) -> None:
    view = case.test["view"]
    resources = [read_json(json.dumps(resource)) for resource in case.resources]
    if case.test.get("expectError"):
        with pytest.raises((SqlOnFhirError, FhirPathError, ManyValuesError)):
            plan(view)
            for resource in resources:
                rows_of(view, resource)
        return
    rows = [row for resource in resources for row in rows_of(view, resource)]
    assert _sorted(rows) == _sorted(case.test["expect"])
