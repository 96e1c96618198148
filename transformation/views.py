"""dbt's staging models, made from the ViewDefinitions in ``dbt/views`` when dbt parses the project.

One ViewDefinition gives one staging model: the view's compiled SQL over the resources that a build
recomputes, then what every table needs alike: references become ids, dates that are none become
null, both are noted in ``issues``, and concepts become code, system and display of one coding. What a
column needs is read off the view: a column with the tag ``reference/target`` is the text of a
reference (``patient_reference`` gives ``patient_id``), one with the tag ``concept/columns`` is a
CodeableConcept (or, with ``collection``, several) that gives the named columns, one of type date,
dateTime or instant is checked.

A staging model also says whether its record counts (``counts``): by ``dbt/what_counts.yml``.

``concept/columns`` says ``column=part`` for each column, with the parts of :class:`ConceptPart`:
``code=code code_system=system display=display codings=codings``; see ``dbt/macros/fhir/codings.sql``.

Views whose Silver model is the single line ``{{ silver_table('name') }}`` get their documentation
generated too, and are listed for the test of their keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from lakehouse.errors import ConfigurationError
from sql_on_fhir import compile_view
from transformation.units import read_units, unit_macros

DBT = Path(__file__).resolve().parents[1] / "dbt"

_PROVENANCE = ("submission_id", "source_file", "source_position", "ingested_at")
#: What a resource contains, for references into it; of views with references only.
_CONTAINED = "contained_keys"
#: Whether it says, in a way that is not known here, that what it says is not so.
_MODIFIED = "has_unknown_modifier"
_MODIFIER_ISSUE = "modifierExtension that is not known: the record does not count"
_DATES = frozenset({"date", "dateTime", "instant"})
_REFERENCE_TAG = "reference/target"
_CONCEPT_TAG = "concept/columns"
_CODINGS_TYPE = 'STRUCT("system" VARCHAR, code VARCHAR, display VARCHAR, user_selected BOOLEAN)[]'
#: A view may say which texts a resource must hold (any of them) to match: others are not parsed.
_TEXT_EXTENSION = "urn:health-lakehouse:holds-any-text"
_SOURCE = "@source@"
#: Types whose values are of a closed list, never somebody's words (R4, datatypes.html#code).
_CODED = frozenset({"code", "boolean"})
_KEY = re.compile(r"\bkey=(\[[^\]]*\]|'\w+')")
_PASS_THROUGH = re.compile(r"\{\{\s*silver_table\('(\w+)'\)\s*\}\}")
#: Whether a record says of itself that it is so.
COUNTS = "counts"
_COUNTS_DOC = (
    "Whether what the record tells of is so, by its status and other modifiers (decision 0037)."
)
_WHAT_COUNTS = "what_counts.yml"
_PROVENANCE_DOCS = (
    ("submission_id", "VARCHAR", "Submission that the winning version of the resource came in."),
    ("source_file", "VARCHAR", "File inside the submission."),
    ("source_position", "BIGINT", "Entry index (bundle), line (NDJSON) or 0 inside the file."),
    ("ingested_at", "TIMESTAMP WITH TIME ZONE", "When that version was landed."),
)


class ConceptPart(StrEnum):
    """What a column may take of a concept."""

    CODE = "code"
    SYSTEM = "system"
    #: The display of the coding that gives the code; where it has none, the concept's text.
    DISPLAY = "display"
    TEXT = "text"
    #: All codings.
    CODINGS = "codings"
    #: The different codes of all codings.
    CODES = "codes"
    #: `code@<system>`: the code of that system, where the element is bound to one.
    CODE_OF = "code@"


_PART_TYPES = {ConceptPart.CODINGS: _CODINGS_TYPE, ConceptPart.CODES: "VARCHAR[]"}
_PART_DOCS = {
    ConceptPart.CODE: "code of its preferred coding",
    ConceptPart.SYSTEM: "code system of that coding",
    ConceptPart.DISPLAY: "display of that coding, else the text",
    ConceptPart.TEXT: "as text",
    ConceptPart.CODINGS: "all codings, as sent",
    ConceptPart.CODES: "the codes of all codings",
}


@dataclass(frozen=True)
class StagedColumn:
    """One column of a staging model: how it is named there, and what it becomes."""

    name: str
    source: str
    description: str
    data_type: str
    target: str | None = None
    is_list: bool = False
    is_date: bool = False
    expression: str | None = None
    #: Whether its values are of a closed list: they may be shown as a sample.
    is_coded: bool = False


@dataclass(frozen=True)
class StagedConcept:
    """A column of the view that holds one CodeableConcept, several, or Codings (then of one concept)."""

    source: str
    is_list: bool
    of_codings: bool

    @property
    def parser(self) -> str:
        """The macro that parses it."""
        if self.of_codings:
            return "parsed_codings"
        return "parsed_concepts" if self.is_list else "parsed_concept"

    @property
    def parsed(self) -> str:
        return f"{self.source}__parsed"

    @property
    def codings(self) -> str:
        return f"{self.source}__codings"

    @property
    def concept(self) -> str:
        """Of several concepts the one that stands for the element."""
        return f"{self.source}__concept" if self.is_list else self.parsed

    @property
    def coding(self) -> str:
        return f"{self.source}__coding"

    def column(self, name: str, part: str, description: str) -> StagedColumn:
        """The column that takes a part of the concept."""
        kind = ConceptPart.CODE_OF if part.startswith(ConceptPart.CODE_OF) else ConceptPart(part)
        expression = {
            ConceptPart.CODE: f"{self.coding}.code",
            ConceptPart.SYSTEM: f'{self.coding}."system"',
            ConceptPart.DISPLAY: f"coalesce({self.coding}.display, {self.concept}.text)",
            ConceptPart.TEXT: f"{self.concept}.text",
            ConceptPart.CODINGS: self.codings,
            ConceptPart.CODES: f"{{{{ codes_of('{self.codings}') }}}}",
            ConceptPart.CODE_OF: f"{{{{ code_of('{self.codings}', '{part.partition('@')[2]}') }}}}",
        }[kind]
        return StagedColumn(
            name=name,
            source=self.source,
            description=f"{description}: {_PART_DOCS[kind]}."
            if kind in _PART_DOCS
            else f"{description}.",
            data_type=_PART_TYPES.get(kind, "VARCHAR"),
            expression=expression,
            is_coded=kind in (ConceptPart.CODE, ConceptPart.SYSTEM, ConceptPart.CODES),
        )


@dataclass(frozen=True)
class StagedView:
    """A ViewDefinition and what its staging model gives."""

    name: str
    resource: str
    title: str
    description: str
    columns: tuple[StagedColumn, ...]
    concepts: tuple[StagedConcept, ...]
    texts: tuple[str, ...]
    sql: str

    @property
    def key(self) -> str:
        """The column with the resource's id: by convention the first."""
        return self.columns[0].name


def read_views(project: Path = DBT) -> list[StagedView]:
    """Every ViewDefinition of the project, compiled.

    Raises ``sql_on_fhir.SqlOnFhirError`` for the first view that is wrong, ConfigurationError for one
    without a column that says whether its records count.
    """
    rules = what_counts(project)
    return [_read(path, rules) for path in sorted((project / "views").glob("*.json"))]


def view_of(path: Path) -> StagedView:
    """One ViewDefinition, compiled; it raises as :func:`read_views` does."""
    return _read(path, what_counts())


def compile_views(*, check: bool = False, project: Path = DBT) -> list[Path]:
    """Write the generated files; returns those that differed. With ``check`` nothing is written."""
    views = read_views(project)
    wanted: dict[Path, str] = {}
    passed_through = _passed_through(project)
    wanted[project / "models" / "silver" / "_views.yml"] = documentation(
        [view for view in views if view.name in passed_through]
    )
    wanted[project / "models" / "silver" / "reference_integrity.sql"] = reference_integrity(
        views, passed_through
    )
    wanted[project / "macros" / "generated" / "silver_tables.sql"] = silver_tables(
        project, views, passed_through
    )
    wanted[project / "macros" / "generated" / "what_counts.sql"] = uncounted(project)
    wanted[project / "macros" / "generated" / "units.sql"] = unit_macros(read_units(project))
    changed = [
        path
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if not check:
        for path in changed:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
    return sorted(changed)


def staging_models(project: Path = DBT) -> dict[str, str]:
    """The staging models by file name: no file of the tree, dbt is given them when it parses."""
    return {f"stg_fhir__{view.name}.sql": staging_model(view) for view in read_views(project)}


def staging_model(view: StagedView) -> str:
    """The text of one staging model."""
    lines = [
        f"-- Grain: one row per {view.resource} that the build recomputes.",
        f"-- Made from views/{view.name}.json when dbt parses the project.",
        "{{ config(meta={'resource_type': '%s', 'key': '%s'}) }}" % (view.resource, view.key),  # noqa: UP031
        "",
        "with viewed as (",
        _indent(_template(view)),
        "),",
        "",
        "tidied as (",
        "    select",
    ]
    tidied = ["viewed.*"]
    tidied += [
        f"{{{{ {concept.parser}('viewed.{concept.source}') }}}} as {concept.parsed}"
        for concept in view.concepts
    ]
    issues: list[str] = []
    for column in view.columns:
        if column.target is not None and column.is_list:
            tidied.append(
                f"{{{{ reference_ids('viewed.{column.source}', '{column.target}', "
                f"'viewed.{view.key}', 'viewed.{_CONTAINED}') }}}} as {column.name}"
            )
            issues.append(
                f"['{column.name}', reference_list_issue('{column.source}', '{column.name}')]"
            )
        elif column.target is not None:
            conditional = f"{column.source}_target"
            tidied.append(
                f"{{{{ reference_id('viewed.{column.source}', '{column.target}', "
                f"'{conditional}', 'viewed.{view.key}', 'viewed.{_CONTAINED}') }}}} as {column.name}"
            )
            issues.append(f"['{column.name}', reference_issue('{column.source}', '{column.name}')]")
        elif column.is_date:
            tidied.append(
                f"{{{{ fhir_date('viewed.{column.source}') }}}} as {column.name}__checked"
            )
            issues.append(
                f"['{column.name}', \"case when {column.source} is not null "
                f"and {column.name}__checked is null then 'not a date' end\"]"
            )
    lines.append(",\n".join(f"        {item}" for item in tidied))
    lines.append("    from viewed")
    for column in view.columns:
        if column.target is not None and not column.is_list:
            lines += [
                f"    left join memory.scratch.conditional_reference as {column.source}_target",
                f"        on {{{{ conditional_text('viewed.{column.source}') }}}} = "
                f"{column.source}_target.reference_text",
            ]
    steps = _coded(view) if view.concepts else []
    lines += [")" + ("," if steps else ""), *steps]
    lines += ["", "select"]
    selected = [_selected(column) for column in view.columns]
    selected.append(f"{{{{ record_counts('{view.resource}') }}}} and not {_MODIFIED} as {COUNTS}")
    issues.append(f"['{COUNTS}', \"case when {_MODIFIED} then '{_MODIFIER_ISSUE}' end\"]")
    selected += list(_PROVENANCE)
    found = ",\n        ".join(issues)
    selected.append(f"{{{{ issues([\n        {found}\n    ]) }}}} as issues")
    lines.append(",\n".join(f"    {item}" for item in selected))
    lines.append("from preferred" if view.concepts else "from tidied")
    return "\n".join(lines) + "\n"


def _coded(view: StagedView) -> list[str]:
    """The two steps from parsed concepts to their codings, and to the one that stands for each."""
    used = " ".join(column.expression or "" for column in view.columns)
    all_codings = ["tidied.*"]
    chosen = ["coded.*"]
    for concept in view.concepts:
        codings = f"'{concept.codings}'"
        if concept.is_list:
            all_codings += [
                f"{{{{ all_codings('{concept.parsed}') }}}} as {concept.codings}",
                f"{{{{ first_concept('{concept.parsed}') }}}} as {concept.concept}",
            ]
            codings = f"codings('{concept.concept}.coding')"
        else:
            all_codings.append(f"{{{{ codings('{concept.parsed}.coding') }}}} as {concept.codings}")
        if concept.coding + "." in used:
            chosen.append(f"{{{{ preferred_coding({codings}) }}}} as {concept.coding}")
    return [*_step("coded", all_codings, "tidied"), "),", *_step("preferred", chosen, "coded"), ")"]


def _step(name: str, columns: list[str], source: str) -> list[str]:
    lines = ",\n".join(f"        {column}" for column in columns)
    return ["", f"{name} as (", "    select", lines, f"    from {source}"]


def _selected(column: StagedColumn) -> str:
    if column.is_date:
        return f"{column.name}__checked as {column.name}"
    if column.expression is not None:
        return f"{column.expression} as {column.name}"
    return column.name


def uncounted(project: Path = DBT) -> str:
    """The macro that gives dbt ``what_counts.yml``."""
    rules = {resource: dict(rule) for resource, rule in what_counts(project).items()}
    listed = ",\n".join(f"        {resource!r}: {rule!r}" for resource, rule in rules.items())
    return (
        f"{{#- Generated from dbt/{_WHAT_COUNTS} by `lakehouse generate`; do not edit. -#}}\n"
        "{% macro uncounted() %}\n    {{ return({\n" + listed + "\n    }) }}\n{% endmacro %}\n"
    )


def documentation(views: list[StagedView]) -> str:
    """dbt's YAML for the Silver tables that are exactly their view."""
    lines = [
        "# Generated from dbt/views by `lakehouse generate`; do not edit.",
        "version: 2",
        "",
        "models:",
    ]
    for view in views:
        lines += [
            f"  - name: {view.name}",
            f"    description: {_quoted(f'{view.description} Latest version wins.')}",
            "    columns:",
        ]
        documented = [
            *(
                (column.name, column.data_type, column.description, column.is_coded)
                for column in view.columns
            ),
            (COUNTS, "BOOLEAN", _COUNTS_DOC, True),
            *((*documented, False) for documented in _PROVENANCE_DOCS),
        ]
        for name, data_type, description, is_coded in documented:
            lines += [
                f"      - name: {name}",
                f"        data_type: {_quoted(data_type)}",
                f"        description: {_quoted(description)}",
                *(["        config: {meta: {sample: true}}"] if is_coded else []),
            ]
    return "\n".join(lines) + "\n"


#: Reference columns of the Silver tables that are more than their view.
_REFERENCES = (
    ("patient", "replaced_by_id", "Patient"),
    ("patient", "replaces_ids", "Patient"),
    ("encounter", "patient_id", "Patient"),
    ("encounter", "provider_id", "Practitioner|PractitionerRole|RelatedPerson"),
    ("encounter", "part_of_id", "Encounter"),
    ("encounter", "location_id", "Location"),
    ("condition", "patient_id", "Patient"),
    ("condition", "encounter_id", "Encounter"),
    ("observation", "patient_id", "Patient"),
    ("observation", "encounter_id", "Encounter"),
    ("observation", "specimen_id", "Specimen"),
    ("procedure", "patient_id", "Patient"),
    ("procedure", "encounter_id", "Encounter"),
    ("medication_request", "patient_id", "Patient"),
    ("medication_request", "encounter_id", "Encounter"),
    ("medication_request", "medication_id", "Medication"),
    ("medication_administration", "patient_id", "Patient"),
    ("medication_administration", "encounter_id", "Encounter"),
    ("medication_administration", "medication_id", "Medication"),
    ("medication_administration", "request_id", "MedicationRequest"),
    ("medication_dispense", "patient_id", "Patient"),
    ("medication_dispense", "encounter_id", "Encounter"),
    ("medication_dispense", "medication_id", "Medication"),
    ("medication_dispense", "request_id", "MedicationRequest"),
    ("medication_statement", "patient_id", "Patient"),
    ("medication_statement", "encounter_id", "Encounter"),
    ("medication_statement", "medication_id", "Medication"),
    ("soap_note", "patient_id", "Patient"),
    ("soap_note", "encounter_id", "Encounter"),
    ("imaging_study", "patient_id", "Patient"),
    ("imaging_study", "encounter_id", "Encounter"),
    ("genomic_report", "patient_id", "Patient"),
    ("genomic_report", "encounter_id", "Encounter"),
    ("ecg_metadata", "patient_id", "Patient"),
    ("ecg_metadata", "encounter_id", "Encounter"),
    ("claim", "patient_id", "Patient"),
    ("claim", "encounter_id", "Encounter"),
    ("claim", "provider_id", "Practitioner|PractitionerRole|Organization"),
)


def reference_integrity(views: list[StagedView], passed_through: frozenset[str]) -> str:
    """The model that counts references with and without their target."""
    references = list(_REFERENCES)
    for view in views:
        if view.name in passed_through:
            references += [
                (view.name, column.name, column.target)
                for column in view.columns
                if column.target is not None and not column.is_list
            ]
    lines = [
        "-- Grain: one row per Silver table, reference column and submission.",
        "-- Generated from dbt/views by `lakehouse generate`; do not edit.",
        "{{ config(materialized='lake_table') }}",
        "",
        "{{ count_references([",
        *(f"    ['{table}', '{column}', '{target}']," for table, column, target in references),
        "]) }}",
    ]
    depends = sorted({table for table, _, _ in references})
    lines[3:3] = [f"-- depends_on: {{{{ ref('{table}') }}}}" for table in depends]
    return "\n".join(lines) + "\n"


#: Silver models that serve the others: written after all of them.
_SUPPORT = frozenset(
    {
        "data_issue",
        "resource_identifier",
        "resource_identity",
        "resource_link",
        "reference_integrity",
    }
)


def silver_tables(project: Path, views: list[StagedView], passed_through: frozenset[str]) -> str:
    """Macros that list Silver's tables, for models and tests that must follow all of them."""
    of_views = {view.name: view.key for view in views if view.name in passed_through}
    keys = {
        path.stem: _key_of(path) or of_views.get(path.stem, "")
        for path in sorted(
            (project / "models" / "silver").rglob("*.sql"), key=lambda path: path.stem
        )
        if path.stem not in _SUPPORT
    }
    keyless = sorted(name for name, key in keys.items() if not key)
    if keyless:
        raise ConfigurationError(
            f"The Silver model {keyless[0]} names no key.",
            hint="Say it in its first lines: {{ config(key=['record_id']) }}.",
        )
    listed = ",\n".join(f"        '{name}'" for name in keys)
    keyed = ",\n".join(f"        ['{name}', \"{key}\"]" for name, key in keys.items())
    return (
        "{#- Generated from dbt/models/silver by `lakehouse generate`; do not edit. -#}\n"
        "{% macro silver_tables() %}\n    {{ return([\n" + listed + "\n    ]) }}\n{% endmacro %}\n"
        "\n\n{#- The same with their keys. -#}\n"
        "{% macro keyed_tables() %}\n    {{ return([\n" + keyed + "\n    ]) }}\n{% endmacro %}\n"
    )


def _key_of(model: Path) -> str | None:
    """The key that a model's config names, as one expression: null where a part of it is."""
    found = _KEY.search(model.read_text(encoding="utf-8"))
    if found is None:
        return None
    columns = re.findall(r"\w+", found.group(1))
    if len(columns) == 1:
        return str(columns[0])
    return " || '|' || ".join(f"{column}::varchar" for column in columns)


def what_counts(project: Path = DBT) -> dict[str, dict[str, list[str]]]:
    """Of each resource type, the columns and their values with which a record does not count."""
    listed = yaml.safe_load((project / _WHAT_COUNTS).read_text(encoding="utf-8"))
    return {
        resource: {column: values for column, values in rule.items() if column != "source"}
        for resource, rule in listed.items()
    }


def _refuse_missing(view: str, rule: Mapping[str, list[str]], columns: list[StagedColumn]) -> None:
    """Raise where a view lacks a column that says whether its records count."""
    missing = rule.keys() - {column.name for column in columns}
    if missing:
        raise ConfigurationError(
            f"The view {view} lacks {', '.join(sorted(missing))}: whether a record counts depends on it.",
            hint=f"Add the column to dbt/views/{view}.json (dbt/{_WHAT_COUNTS} says what it is for).",
        )


def _read(path: Path, rules: Mapping[str, Mapping[str, list[str]]]) -> StagedView:
    text = path.read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    targets = dict(_tagged(document, _REFERENCE_TAG))
    passed = (*_PROVENANCE, _CONTAINED, _MODIFIED) if targets else (*_PROVENANCE, _MODIFIED)
    compiled = compile_view(text, source=_SOURCE, passthrough=passed, assume_type=True)
    taken = dict(_tagged(document, _CONCEPT_TAG))
    columns: list[StagedColumn] = []
    concepts: list[StagedConcept] = []
    for column in compiled.columns:
        description = column.description or ""
        if column.name in taken:
            of_codings = column.fhir_type == "Coding"
            concept = StagedConcept(
                column.name,
                is_list=column.collection and not of_codings,
                of_codings=of_codings,
            )
            concepts.append(concept)
            columns += [
                concept.column(name, part, description.removesuffix("."))
                for name, _, part in (item.partition("=") for item in taken[column.name].split())
            ]
            continue
        target = targets.get(column.name)
        columns.append(
            StagedColumn(
                name=_id_column(column.name) if target else column.name,
                source=column.name,
                description=description,
                data_type=column.sql_type + ("[]" if column.collection else ""),
                target=target,
                is_list=column.collection,
                is_date=column.fhir_type in _DATES and not column.collection,
                is_coded=column.fhir_type in _CODED,
            )
        )
    _refuse_missing(compiled.name, rules.get(compiled.resource, {}), columns)
    return StagedView(
        name=compiled.name,
        resource=compiled.resource,
        title=document.get("title", compiled.name),
        description=document.get("description", ""),
        columns=tuple(columns),
        concepts=tuple(concepts),
        texts=tuple(
            extension["valueString"]
            for extension in document.get("extension", [])
            if extension.get("url") == _TEXT_EXTENSION
        ),
        sql=compiled.sql,
    )


def _id_column(reference_column: str) -> str:
    """The name of the column with the id, or the ids, that references stand for."""
    if reference_column.endswith("_references"):
        return reference_column.removesuffix("_references") + "_ids"
    return reference_column.removesuffix("_reference") + "_id"


def _tagged(document: dict[str, Any], tag_name: str) -> Iterator[tuple[str, str]]:
    """(column, value) of every column with that tag, at any depth."""
    for select in [*document.get("select", []), *document.get("unionAll", [])]:
        for column in select.get("column", []):
            for tag in column.get("tag", []):
                if tag.get("name") == tag_name:
                    yield column["name"], tag["value"]
        yield from _tagged(select, tag_name)


def _passed_through(project: Path) -> frozenset[str]:
    """Views whose Silver model is the one line that passes them through."""
    found = (
        _PASS_THROUGH.fullmatch(line.strip())
        for path in (project / "models" / "silver").rglob("*.sql")
        for line in path.read_text(encoding="utf-8").splitlines()
    )
    return frozenset(match.group(1) for match in found if match)


def _template(view: StagedView) -> str:
    """The view's SQL as dbt reads it: only the source is a placeholder, the rest is text."""
    parts = view.sql.split(_SOURCE)
    if any(mark in view.sql for mark in ("{{", "{%", "{#")):
        parts = [f"{{% raw %}}{part}{{% endraw %}}" for part in parts]
    return _source(view).join(parts)


def _source(view: StagedView) -> str:
    texts = f", {list(view.texts)!r}" if view.texts else ""
    return f"{{{{ current_resources('{view.resource}'{texts}) }}}}"


def _indent(sql: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in sql.splitlines())


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
