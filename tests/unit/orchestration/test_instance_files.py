"""Both ways to run have the same Dagster: the two instance files differ only in where things are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from orchestration.processes.instance import DAGSTER_YAML

ROOT = Path(__file__).resolve().parents[3]
#: Where runs, logs and artifacts are kept: an installation's own.
PLACES = {"storage", "compute_logs", "local_artifact_storage"}


def test_the_instance_of_both_modes_is_the_same_but_for_places() -> None:
    native: dict[str, Any] = yaml.safe_load(DAGSTER_YAML)
    containers: dict[str, Any] = yaml.safe_load(
        (ROOT / "docker" / "dagster" / "dagster.yaml").read_text(encoding="utf-8")
    )
    assert set(native) == set(containers)
    assert {key: native[key] for key in native.keys() - PLACES} == {
        key: containers[key] for key in containers.keys() - PLACES
    }


def test_the_places_come_from_the_environment() -> None:
    native = yaml.safe_load(DAGSTER_YAML)
    assert "'env': 'DAGSTER_POSTGRES_URL'" in str(native["storage"])
    for place in PLACES - {"storage"}:
        assert set(native[place]["config"]["base_dir"]) == {"env"}
