"""SQL on FHIR v2: ViewDefinitions compiled to DuckDB SQL.

    from sql_on_fhir import run_view
    print(run_view(view, ["patients.ndjson"]))

The rooms, in the order in which a view passes through them: `parsing` reads it, `planning` gives it
types (the tree is in `ir`), `sql` writes that as SQL in the words of a dialect (`duckdb`), `run.py` runs
it over files. `elements.py` and `shapes.py` say what views read. The package knows nothing of the
project around it.
"""

from typing import TYPE_CHECKING, Any

from sql_on_fhir.compile import Column, CompiledView, Problem, check_view, compile_view
from sql_on_fhir.elements import ElementRead, elements_read
from sql_on_fhir.errors import (
    CardinalityError,
    FhirPathError,
    SourceError,
    SqlOnFhirError,
    ViewDefinitionError,
)
from sql_on_fhir.parsing.view import parse_view
from sql_on_fhir.planning.plan import plan
from sql_on_fhir.shapes import ElementShape, shapes_read

if TYPE_CHECKING:
    from sql_on_fhir.run import run_view, stream_view

__all__ = [
    "CardinalityError",
    "Column",
    "CompiledView",
    "ElementRead",
    "ElementShape",
    "FhirPathError",
    "Problem",
    "SourceError",
    "SqlOnFhirError",
    "ViewDefinitionError",
    "check_view",
    "compile_view",
    "elements_read",
    "parse_view",
    "plan",
    "run_view",
    "shapes_read",
    "stream_view",
]


def __getattr__(name: str) -> Any:
    """Running needs Arrow, which takes longer to import than all views to compile."""
    if name in ("run_view", "stream_view"):
        from sql_on_fhir import run

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
