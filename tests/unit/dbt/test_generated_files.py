"""What is generated from views and YAML is current, and what must agree does."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest

from ingestion import bronze_yaml
from lakehouse.errors import ConfigurationError
from transformation import contract, dbt_runner, dictionary, documents, views
from transformation.dbt_runner import redacted


def test_sources_are_those_that_are_declared() -> None:
    assert bronze_yaml.write_sources(check=True) == [], "run `lakehouse generate`"


def test_macros_and_documentation_are_those_of_the_views() -> None:
    assert views.compile_views(check=True) == [], "run `lakehouse generate`"


def test_dbt_is_given_a_staging_model_for_each_view() -> None:
    given = dbt_runner.manifest()["nodes"]
    for path in (views.DBT / "views").glob("*.json"):
        model = given[f"model.lakehouse.stg_fhir__{path.stem}"]
        assert model["raw_code"].startswith("-- Grain: one row per")
        assert model["config"]["materialized"] == "ephemeral"
        assert model["raw_code"] == views.staging_model(views.view_of(path)).rstrip("\n")


def test_dictionary_and_contract_are_those_of_the_yaml() -> None:
    assert documents.write_documents(check=True) == [], "run `lakehouse generate`"


def test_every_model_states_its_grain_in_its_first_line() -> None:
    for path in sorted((views.DBT / "models").rglob("*.sql")):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("-- Grain: ") or "silver_table(" in first, path.name


def test_every_table_and_column_is_described() -> None:
    for table in dictionary.read_tables():
        assert table.description, table.name
        assert table.columns, table.name
        for column in table.columns:
            assert column.description and column.data_type, f"{table.name}.{column.name}"


def test_gold_and_marts_read_clinical_tables_only_where_they_count() -> None:
    clinical = {
        table.name
        for table in dictionary.read_tables()
        if table.schema == "silver"
        and (table.name == "patient" or "counts" in {column.name for column in table.columns})
    }
    assert {"condition", "soap_note"} <= clinical
    for layer in ("gold", "marts"):
        for path in sorted((views.DBT / "models" / layer).glob("*.sql")):
            if path.stem in ("data_quality", "patient_merge"):
                continue  # they are about all rows, and about who replaces whom
            read = set(re.findall(r"ref\('(\w+)'\)", path.read_text(encoding="utf-8")))
            assert not read & clinical, f"{path.name}: read {read & clinical} by counted()"


def test_a_view_without_what_says_whether_its_records_count_is_refused(tmp_path: Path) -> None:
    view = json.loads((views.DBT / "views" / "procedure.json").read_text(encoding="utf-8"))
    columns = view["select"][0]["column"]
    view["select"][0]["column"] = [c for c in columns if c["name"] != "status"]
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / "procedure.json").write_text(json.dumps(view), encoding="utf-8")
    (tmp_path / "what_counts.yml").write_text(
        (views.DBT / "what_counts.yml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    with pytest.raises(ConfigurationError, match="procedure lacks status"):
        views.read_views(tmp_path)


@pytest.mark.parametrize(
    ("view", "macro"),
    [("ecg_report", "ecg_codes"), ("genomic_report", "genomic_codes")],
)
def test_a_report_s_codes_are_the_same_wherever_they_are_named(view: str, macro: str) -> None:
    document = json.loads((views.DBT / "views" / f"{view}.json").read_text(encoding="utf-8"))
    in_path = set(re.findall(r"'([^']+)'", document["where"][0]["path"]))
    in_texts = {extension["valueString"] for extension in document["extension"]}
    source = (views.DBT / "macros" / "build" / "dependents.sql").read_text(encoding="utf-8")
    listed = re.search(rf"macro {macro}\(\) -%}}\s*{{{{ return\(\[(.*?)\]", source, re.DOTALL)
    assert listed is not None
    assert in_path == in_texts == set(re.findall(r"'([^']+)'", listed.group(1)))


def test_a_smaller_step_of_the_version_than_of_the_schema_is_refused() -> None:
    before = {**contract.json_schema(), "version": "1.5.0"}
    without = copy.deepcopy(before)
    del without["properties"]["sex"]
    without["version"] = "1.9.0"
    with pytest.raises(ConfigurationError, match="major"):
        contract.refuse_small_version(before, without)
    contract.refuse_small_version(before, {**without, "version": "2.0.0"})


def test_a_new_field_in_a_list_is_a_minor_change() -> None:
    before = contract.json_schema()
    after = copy.deepcopy(before)
    after["properties"]["labs"]["items"]["properties"]["method"] = {"type": ["string", "null"]}
    assert contract.change_between(before, after) == "minor"
    after["properties"]["labs"]["items"]["properties"]["value"]["type"] = ["string", "null"]
    assert contract.change_between(before, after) == "major"


def test_messages_of_dbt_lose_the_values_they_quote() -> None:
    message = "Conversion Error: Could not convert string 'Jane Doe' of Patient/abc-1 to INT32"
    assert redacted(message) == (
        "Conversion Error: Could not convert string '…' of Patient/… to INT32"
    )
