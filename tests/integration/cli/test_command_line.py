"""The `lakehouse` command as a person or a script meets it: words, exit codes, nothing made by accident."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.main_job.conftest import Lakehouse, command

GOOD = '{"resourceType": "Patient", "id": "%s", "gender": "female"}'


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A lakehouse that was made and holds nothing."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-cli-") as folder:
        home = Path(folder) / "home"
        command(home, "init")
        yield home
        command(home, "down")


@pytest.fixture
def lakehouse(home: Path) -> Lakehouse:
    def run(*arguments: str, check: bool = True, **variables: str):  # type: ignore[no-untyped-def]
        return command(home, *arguments, check=check, **variables)

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["run"],
        ["sql", "select 1"],
        ["quarantine"],
        ["audit"],
        ["maintain"],
        ["verify"],
        ["credentials"],
        ["down"],
    ],
)
def test_a_command_elsewhere_makes_no_lakehouse(tmp_path: Path, arguments: list[str]) -> None:
    done = command(tmp_path / "home", *arguments, check=False)
    assert done.returncode == 2, done.stderr
    assert "There is no lakehouse here" in done.stderr
    assert "LAKEHOUSE_HOME" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_drop_says_what_it_did_and_asks_before_it_changes_anything(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    export = tmp_path / "siteA" / "export"
    export.mkdir(parents=True)
    (export / "a.json").write_text(GOOD % "a")
    (export / "link.json").symlink_to("/etc/passwd")
    other = tmp_path / "siteB" / "export"
    other.mkdir(parents=True)
    (other / "b.json").write_text(GOOD % "b")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("c.json", GOOD % "c")

    first = lakehouse("drop", str(export), str(other), str(tmp_path / "c.zip")).stdout
    assert "export: 1 file(s) put into inbox/local/mixed/export/" in first
    assert "siteB-export: called so because export is a drop from another path" in first
    assert "c.zip: 1 file(s) put" in first
    assert "1 link(s) passed by" in first
    assert "same content is there already" in lakehouse("drop", str(export)).stdout

    (export / "a.json").unlink()
    (export / "d.json").write_text(GOOD % "d")
    refused = lakehouse("drop", str(export), check=False)
    assert refused.returncode == 2
    assert "export holds something else already" in refused.stderr
    for way in ("--as siteA-export", "--supersede", "1 file(s) leave", "--amend"):
        assert way in refused.stderr.replace("\n", " ")
    done = json.loads(lakehouse("drop", str(export), "--supersede", "--json").stdout)
    assert (done[0]["written"], done[0]["removed"]) == (1, 1)
    both = lakehouse("drop", str(export), "--supersede", "--amend", check=False)
    assert both.returncode == 2

    broken = tmp_path / "broken.zip"
    broken.write_bytes((tmp_path / "c.zip").read_bytes()[:60])
    refused = lakehouse("drop", str(other), str(broken), check=False)
    assert refused.returncode == 1
    assert "Path 2 of 2: The archive" in refused.stderr
    assert lakehouse("drop", str(tmp_path / "nope"), check=False).returncode == 2
