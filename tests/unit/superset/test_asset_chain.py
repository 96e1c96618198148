"""The chain dashboard → chart → dataset → mart column, and that breaking any link is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from boards.catalog import CatalogError, Places, read_catalog
from boards.expand import Bundle, bundle
from boards.validate import operation_columns, validate, validate_bundle
from transformation import dbt_runner

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKEHOUSE_HOME", str(tmp_path_factory.mktemp("home")))
        path = tmp_path_factory.mktemp("manifest") / "manifest.json"
        path.write_text(json.dumps(dbt_runner.manifest(), default=str), encoding="utf-8")
    return path


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A copy of the files, to break."""
    return Places(
        datasets=Path(shutil.copy(ROOT / "superset/datasets.yaml", tmp_path)),
        marts=Path(shutil.copytree(ROOT / "dbt/models/marts", tmp_path / "marts")),
        operations=Path(shutil.copy(ROOT / "alembic/sql/operations.yml", tmp_path)),
        dashboards=Path(shutil.copytree(ROOT / "superset/dashboards", tmp_path / "dashboards")),
    )


def edit(path: Path, change: Callable[[Any], object]) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def broken(change: Callable[[Bundle], object]) -> list[str]:
    """The problems of the expanded bundle after ``change``."""
    assets = bundle()
    marts = {name: set(dataset.columns) for name, dataset in read_catalog().items()}
    change(assets)
    return validate_bundle(
        assets, {"marts": marts, "ops": operation_columns(ROOT / "alembic" / "sql")}
    )


def chart(assets: Bundle, title: str) -> str:
    return next(path for path, asset in assets.items() if asset.get("slice_name") == title)


def test_every_dashboard_rests_on_columns_that_dbt_builds(manifest: Path) -> None:
    assert validate(manifest) == []


def test_a_chart_on_a_column_that_left_its_dataset_is_told(places: Places) -> None:
    def remove(content: Any) -> None:
        model = next(m for m in content["models"] if m["name"] == "imaging_inventory")
        model["columns"] = [c for c in model["columns"] if c["name"] != "manufacturer"]

    edit(places.marts / "_marts.yml", remove)
    assert any(
        problem.startswith("charts/imaging/equipment")
        and problem.endswith("column manufacturer is not in dataset imaging_inventory")
        for problem in validate(places=places)
    )


def test_a_dataset_on_a_column_that_left_its_mart_is_told(manifest: Path, tmp_path: Path) -> None:
    document = json.loads(manifest.read_text())
    del document["nodes"]["model.lakehouse.imaging_inventory"]["columns"]["modality"]
    changed = tmp_path / "manifest.json"
    changed.write_text(json.dumps(document))
    assert validate(changed) == [
        "datasets/marts/imaging_inventory.yaml: column modality is not in marts.imaging_inventory"
    ]


def test_a_metric_on_no_column_is_told(places: Places) -> None:
    def misspell(content: Any) -> None:
        content["marts"]["imaging_inventory"]["metrics"]["studies"]["sql"] = "SUM(studys)"

    edit(places.datasets, misspell)
    assert any("uses studys, which is no column" in p for p in validate(places=places))


def test_a_condition_on_no_column_is_told(places: Places) -> None:
    def misspell(content: Any) -> None:
        content["rows"][0]["charts"][0]["where"] = "modalty = 'CT'"

    edit(places.dashboards / "imaging.yaml", misspell)
    assert any("column modalty is not in dataset" in p for p in validate(places=places))


def test_a_dashboard_with_a_chart_that_is_gone_and_a_chart_on_no_dashboard_are_told() -> None:
    def rename(assets: Bundle) -> None:
        studies = assets.pop(chart(assets, "Imaging studies"))
        assets["charts/other.yaml"] = studies | {"uuid": "11111111-2222-4333-8444-555555555555"}

    problems = broken(rename)
    assert "dashboards/imaging.yaml: chart Imaging studies is not in the bundle" in problems
    assert "charts/other.yaml: on no dashboard" in problems


def test_an_address_or_password_in_the_bundle_is_told() -> None:
    address = "postgresql+psycopg2://bi_reader:x@elsewhere:5432/marts"
    problems = broken(lambda a: a["databases/marts.yaml"].update(sqlalchemy_uri=address))
    assert any("read-only role's" in problem for problem in problems)


def test_a_database_whose_sessions_are_not_in_utc_is_told() -> None:
    extra = {"engine_params": {"pool_pre_ping": True}}
    problems = broken(lambda a: a["databases/operations.yaml"].update(extra=extra))
    assert [problem for problem in problems if "UTC" in problem] == [
        "databases/operations.yaml: its sessions are not in UTC (engine_params, connect_args)"
    ]


def test_an_asset_that_people_could_change_in_the_browser_is_told() -> None:
    path = chart(bundle(), "Imaging studies")
    assert broken(lambda a: a[path].update(is_managed_externally=False)) == [
        f"{path}: is_managed_externally is not true"
    ]


def test_two_charts_of_one_title_on_a_dashboard_are_told(places: Places) -> None:
    def repeat(content: Any) -> None:
        content["rows"].append(content["rows"][0])

    edit(places.dashboards / "imaging.yaml", repeat)
    with pytest.raises(CatalogError, match=r"imaging.yaml: two charts are called Imaging studies"):
        bundle(places)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "gauge"}, "gauge is no kind of chart"),
        ({"mart": "nothing"}, "nothing is no dataset of datasets.yaml"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_chart_that_cannot_be_expanded_names_its_file(
    places: Places, change: dict[str, str], told: str
) -> None:
    edit(
        places.dashboards / "imaging.yaml",
        lambda content: content["rows"][0]["charts"][0].update(change),
    )
    with pytest.raises(CatalogError, match=told) as refused:
        bundle(places)
    assert "imaging.yaml" in str(refused.value)


def test_a_dataset_that_no_yaml_describes_is_told(places: Places) -> None:
    edit(places.datasets, lambda content: content["marts"].update(lost={"metrics": {}}))
    with pytest.raises(CatalogError, match="lost is described by no YAML of marts"):
        bundle(places)
