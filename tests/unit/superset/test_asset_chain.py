"""The chain dashboard → chart → dataset → mart column, and that breaking any link is told."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from transformation import dbt_runner

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def validate() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "superset_validate", ROOT / "superset/validate.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKEHOUSE_HOME", str(tmp_path_factory.mktemp("home")))
        path = tmp_path_factory.mktemp("manifest") / "manifest.json"
        path.write_text(json.dumps(dbt_runner.manifest(), default=str), encoding="utf-8")
    return path


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "superset/assets", tmp_path / "assets"))


def edit(path: Path, **changes: object) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**content, **changes}), encoding="utf-8")


def test_every_dashboard_rests_on_columns_that_dbt_builds(
    validate: ModuleType, manifest: Path
) -> None:
    assert validate.validate(manifest) == []


def test_a_chart_on_a_column_that_left_its_dataset_is_told(
    validate: ModuleType, manifest: Path, assets: Path
) -> None:
    path = assets / "datasets/marts/imaging_inventory.yaml"
    columns = yaml.safe_load(path.read_text())["columns"]
    edit(path, columns=[c for c in columns if c["column_name"] != "manufacturer"])
    problems = validate.validate(manifest, assets)
    assert (
        "charts/imaging_equipment.yaml: column manufacturer is not in dataset imaging_inventory"
        in problems
    )


def test_a_dataset_on_a_column_that_left_its_mart_is_told(
    validate: ModuleType, manifest: Path, tmp_path: Path
) -> None:
    document = json.loads(manifest.read_text())
    del document["nodes"]["model.lakehouse.imaging_inventory"]["columns"]["modality"]
    changed = tmp_path / "manifest.json"
    changed.write_text(json.dumps(document))
    assert validate.validate(changed) == [
        "datasets/marts/imaging_inventory.yaml: column modality is not in marts.imaging_inventory"
    ]


def test_a_metric_on_no_column_is_told(validate: ModuleType, manifest: Path, assets: Path) -> None:
    path = assets / "datasets/marts/imaging_inventory.yaml"
    metrics = yaml.safe_load(path.read_text())["metrics"]
    metrics[0]["expression"] = "SUM(studys)"
    edit(path, metrics=metrics)
    assert any("uses studys, which is no column" in p for p in validate.validate(manifest, assets))


def test_a_dashboard_with_a_chart_that_is_gone_and_a_chart_on_no_dashboard_are_told(
    validate: ModuleType, manifest: Path, assets: Path
) -> None:
    (assets / "charts/imaging_studies.yaml").rename(assets / "charts/other.yaml")
    edit(assets / "charts/other.yaml", uuid="11111111-2222-4333-8444-555555555555")
    problems = validate.validate(manifest, assets)
    assert "dashboards/imaging.yaml: chart Imaging studies is not in the bundle" in problems
    assert "charts/other.yaml: on no dashboard" in problems


def test_an_address_or_password_in_the_bundle_is_told(
    validate: ModuleType, manifest: Path, assets: Path
) -> None:
    path = assets / "databases/marts.yaml"
    edit(path, sqlalchemy_uri="postgresql+psycopg2://bi_reader:x@elsewhere:5432/marts")
    assert any("read-only role's" in problem for problem in validate.validate(manifest, assets))


def test_a_database_whose_sessions_are_not_in_utc_is_told(
    validate: ModuleType, manifest: Path, assets: Path
) -> None:
    edit(assets / "databases/operations.yaml", extra={"engine_params": {"pool_pre_ping": True}})
    assert [problem for problem in validate.validate(manifest, assets) if "UTC" in problem] == [
        "databases/operations.yaml: its sessions are not in UTC (engine_params, connect_args)"
    ]


def test_an_asset_that_people_could_change_in_the_browser_is_told(
    validate: ModuleType, manifest: Path, assets: Path
) -> None:
    edit(assets / "charts/imaging_studies.yaml", is_managed_externally=False)
    assert validate.validate(manifest, assets) == [
        "charts/imaging_studies.yaml: is_managed_externally is not true"
    ]
