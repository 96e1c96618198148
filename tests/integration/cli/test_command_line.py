"""The `lakehouse` command as a person or a script meets it: words, exit codes, nothing made by accident."""

from __future__ import annotations

import csv
import io
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["quarantine", "nope"], "There is no submission nope"),
        (["audit", "nope"], "no event of nope"),
        (["land", "nope"], "There is no submission nope"),
        (["withdraw", "nope", "--reason", "x"], "There is no submission nope"),
        (["describe", "silver.nope"], "silver.nope is no table of the lake"),
        (["sql", " ; "], "There is no query in it"),
    ],
)
def test_what_is_not_there_is_an_error_of_usage(
    lakehouse: Lakehouse, arguments: list[str], words: str
) -> None:
    done = lakehouse(*arguments, check=False)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["backup", "/nowhere/at/all.tar"], "cannot be written (No such file or directory)"),
        (["sql", "--at", "99999", "select 1"], "ducklake_snapshots"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    lakehouse: Lakehouse, arguments: list[str], words: str
) -> None:
    done = lakehouse(*arguments, check=False)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "Postgres" not in done.stderr


def test_a_home_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = command(tmp_path / "file" / "home", "init", check=False)
    assert done.returncode == 1
    assert "cannot be made or written" in done.stderr


def test_data_is_printed_as_it_is(lakehouse: Lakehouse) -> None:
    query = "select '1:100:5 [red]x[/] :smile:' as titre, [1, 2] as l, {'a': null, 'b': 'c'} as s"
    assert "1:100:5 [red]x[/] :smile:" in lakehouse("sql", query).stdout
    rows = list(csv.DictReader(io.StringIO(lakehouse("sql", "--csv", query).stdout)))
    assert rows[0]["titre"] == "1:100:5 [red]x[/] :smile:"
    assert json.loads(rows[0]["l"]) == [1, 2]
    assert json.loads(rows[0]["s"]) == {"a": None, "b": "c"}


def test_an_empty_lake_can_be_looked_at(lakehouse: Lakehouse) -> None:
    assert json.loads(lakehouse("tables", "--json").stdout) == {} or lakehouse("tables").stdout
    for words in (["tables"], ["status"], ["quarantine"], ["audit"]):
        assert lakehouse(*words, COLUMNS="80").returncode == 0
    assert lakehouse("--version").stdout.startswith("lakehouse ")
    assert lakehouse("walkthrough", check=False).returncode == 1


@pytest.mark.parametrize(
    ("command_name", "key"), [("land", "landed"), ("audit", "intact"), ("maintain", "files_merged")]
)
def test_a_machine_reads_nothing_but_json(
    lakehouse: Lakehouse, command_name: str, key: str
) -> None:
    assert key in json.loads(lakehouse(command_name, "--json").stdout)
