"""What dashboards may show: the datasets with their columns, labels, descriptions and metrics.

Columns of marts are those that dbt's YAML documents, columns of operations views those of
``alembic/sql/operations.yml``, in the same form. Which of them dashboards may use, their time column and
their metrics are in ``superset/datasets.yaml``.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

SUPERSET = Path(__file__).resolve().parents[1]
PROJECT = SUPERSET.parent

#: Names below it are identifiers in Superset: the same name is the same object on every installation.
NAMESPACE = uuid.UUID("6c1f5d0a-52a5-5a0c-9a55-7d1d7f6f1b3e")

#: Superset's name of each connection → the database of the platform that it reads.
DATABASES = {"marts": "marts", "operations": "lakehouse"}

#: Types of dbt's YAML (DuckDB's) as Postgres, where the tables are published, names them.
_TYPES = {"VARCHAR": "TEXT", "DOUBLE": "DOUBLE PRECISION"}
_TIMES = ("DATE", "TIMESTAMP WITH TIME ZONE")
#: Sums are made of them; nobody groups by them.
_MEASURES = ("DOUBLE PRECISION", "BIGINT")


class CatalogError(Exception):
    """A file of datasets or dashboards that cannot be read; the message names it and the rule."""


@dataclass(frozen=True)
class Column:
    """A column as people see it: ``label`` in words, ``type`` of Postgres."""

    name: str
    type: str
    label: str
    description: str

    @property
    def is_time(self) -> bool:
        return self.type in _TIMES


@dataclass(frozen=True)
class Metric:
    """An aggregate of a dataset under a name; ``format`` is that of d3."""

    name: str
    label: str
    sql: str
    format: str


@dataclass(frozen=True)
class Dataset:
    """A published table or view; ``time`` is the column to which the time filter applies."""

    name: str
    schema: str
    database: str
    description: str
    time: str | None
    columns: Mapping[str, Column]
    metrics: Mapping[str, Metric]
    #: Shown to roles that are granted it by name alone (superset/access.yaml).
    restricted: bool = False

    @property
    def uuid(self) -> str:
        return identifier("dataset", f"{self.schema}.{self.name}")


@dataclass(frozen=True)
class Places:
    """The files that make the catalog."""

    datasets: Path = SUPERSET / "datasets.yaml"
    marts: Path = PROJECT / "dbt" / "models" / "marts"
    operations: Path = PROJECT / "alembic" / "sql" / "operations.yml"
    dashboards: Path = field(default=SUPERSET / "dashboards")


def identifier(kind: str, name: str) -> str:
    """The UUID of what has this name: version 5 (RFC 9562), so that an import meets what it made."""
    return str(uuid.uuid5(NAMESPACE, f"{kind}/{name}"))


def in_words(name: str) -> str:
    """``patient_count`` as "Patient count"."""
    return name.replace("_", " ").capitalize()


def read_catalog(places: Places | None = None) -> dict[str, Dataset]:
    """Every dataset of ``datasets.yaml`` by its name. Raises CatalogError where nothing describes it."""
    places = places or Places()
    described = {
        "marts": _models(sorted(places.marts.glob("*.yml"))),
        "operations": _models([places.operations]),
    }
    catalog = {}
    for database, entries in yaml.safe_load(places.datasets.read_text("utf-8")).items():
        for name, entry in entries.items():
            model = described[database].get(name)
            if model is None:
                raise CatalogError(
                    f"{places.datasets.name}: {name} is described by no YAML of {database}."
                    f" Describe it, or take it out."
                )
            catalog[name] = _dataset(name, database, model, entry)
    return catalog


def _models(paths: list[Path]) -> dict[str, dict[str, Any]]:
    return {
        model["name"]: model
        for path in paths
        for model in yaml.safe_load(path.read_text("utf-8"))["models"]
    }


def _dataset(name: str, database: str, model: dict[str, Any], entry: dict[str, Any]) -> Dataset:
    return Dataset(
        name,
        "marts" if database == "marts" else "ops",
        database,
        model["description"],
        entry.get("time"),
        {column["name"]: _column(column) for column in model["columns"]},
        {key: Metric(key, **value) for key, value in (entry.get("metrics") or {}).items()},
        bool(entry.get("restricted")),
    )


def _column(column: dict[str, Any]) -> Column:
    label = column.get("config", {}).get("meta", {}).get("label")
    kind = column["data_type"]
    return Column(
        column["name"],
        _TYPES.get(kind, kind),
        label or in_words(column["name"]),
        column["description"],
    )


def dataset_asset(dataset: Dataset) -> dict[str, Any]:
    """The dataset in Superset's import format."""
    return {
        "table_name": dataset.name,
        "schema": dataset.schema,
        "description": dataset.description,
        "main_dttm_col": dataset.time,
        "filter_select_enabled": True,
        "cache_timeout": None,
        "metrics": [
            {
                "metric_name": metric.name,
                "verbose_name": metric.label,
                "expression": metric.sql,
                "d3format": metric.format,
            }
            for metric in dataset.metrics.values()
        ],
        "columns": [
            {
                "column_name": column.name,
                "verbose_name": column.label,
                "description": column.description,
                "type": column.type,
                "is_dttm": column.is_time,
                "is_active": True,
                "groupby": column.type not in _MEASURES,
                "filterable": True,
            }
            for column in dataset.columns.values()
        ],
        "uuid": dataset.uuid,
        "database_uuid": identifier("database", dataset.database),
        "version": "1.0.0",
        "is_managed_externally": True,
    }


def database_asset(name: str) -> dict[str, Any]:
    """A connection of the read-only role. Address and password are put in at connect time."""
    return {
        "database_name": name,
        "sqlalchemy_uri": f"postgresql+psycopg2://bi_reader@postgres:5432/{DATABASES[name]}",
        "cache_timeout": 30,
        "expose_in_sqllab": True,
        "allow_run_async": False,
        "allow_ctas": False,
        "allow_cvas": False,
        "allow_dml": False,
        "allow_csv_upload": False,
        "impersonate_user": False,
        "extra": {
            "allows_virtual_table_explore": True,
            "engine_params": {
                "pool_pre_ping": True,
                # Days and months are those of UTC, whatever zone the server or this host is in.
                "connect_args": {"options": "-c timezone=UTC"},
            },
        },
        "uuid": identifier("database", name),
        "version": "1.0.0",
        "is_managed_externally": True,
    }
