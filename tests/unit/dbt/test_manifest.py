"""dbt's manifest can be had also where another process parsed the project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

WRITE = "from transformation import dbt_runner; print(len(dbt_runner.manifest()['nodes']))"


def nodes(home: Path) -> int:
    """Nodes of the manifest that a new process finds or makes."""
    done = subprocess.run(
        [sys.executable, "-c", WRITE],
        env=os.environ | {"LAKEHOUSE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout)


def test_a_process_that_died_between_parsing_and_the_manifest_does_no_harm(tmp_path: Path) -> None:
    first = nodes(tmp_path)
    (manifest,) = (tmp_path / "dbt").glob("manifest-*.json")
    sent = json.loads(manifest.read_text())["metadata"]["send_anonymous_usage_stats"]
    manifest.unlink()
    assert nodes(tmp_path) == first > 0
    assert json.loads(manifest.read_text())["metadata"]["send_anonymous_usage_stats"] == sent
    assert not sent
