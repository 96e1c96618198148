"""The secret that an installation without containers makes for itself."""

from __future__ import annotations

import inspect
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from installation.secrets import SECRETS
from lakehouse.errors import ConfigurationError
from lakehouse.settings import Settings, secret_file

#: Waits for the others, asks a hundred times for secrets that nobody made yet, and says what it got.
_ASK = """
import sys, pathlib
from lakehouse.settings import secret_file
folder = pathlib.Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(" ".join(secret_file(folder / str(number)) for number in range(100)))
"""


def test_processes_that_start_together_get_the_same_secret(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _ASK, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 6
    (answer,) = answers
    assert len(set(answer.split())) == 100
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(map(str, range(100)))


def test_a_secret_is_for_its_owner_alone_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "privacy_key"
    secret = secret_file(path)
    assert len(secret) >= 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret_file(path) == secret


ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [
    "cli",
    "installation",
    "lakehouse",
    "transformation",
    "ingestion",
    "quality",
    "publishing",
    "orchestration",
    "hub",
    "superset",
    "docker",
    "alembic",
]
#: Variables that one of our processes hands to another; nobody sets them by hand.
HANDED_OVER = {
    "DAGSTER_HOME",
    "DAGSTER_POSTGRES_URL",
    "LAKEHOUSE_LOGINS",
    "PYTHONPATH",
    "SUPERSET_CACHE_DIR",
}


def sources() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def listed_variables() -> set[str]:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    return set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE))


def test_every_setting_is_read_by_something() -> None:
    text = "\n".join(
        path.read_text(encoding="utf-8") for path in sources() if path.name != "settings.py"
    )
    properties = inspect.getsource(Settings)
    unread = [
        name
        for name in Settings.model_fields
        if not re.search(rf"\.{name}\b", text) and not re.search(rf"self\.{name}\b", properties)
    ]
    assert unread == []


def test_every_listed_variable_is_read_by_something() -> None:
    files = ("docker-compose.yml", "docker/proxy.yml")
    compose = "".join((ROOT / file).read_text(encoding="utf-8") for file in files)
    known = (
        {"COMPOSE_FILE"}
        | {  # read by Compose itself
            str(field.validation_alias or name).upper()
            for name, field in Settings.model_fields.items()
        }
        | {secret.name for secret in SECRETS}
    )
    unread = {name for name in listed_variables() - known if f"${{{name}" not in compose}
    assert unread == set()


def test_every_variable_that_code_reads_is_listed_or_handed_over_by_the_stack() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    given = set(re.findall(r"^\s+([A-Z][A-Z0-9_]+):", compose, re.MULTILINE))
    read = {
        name
        for path in sources()
        for name in re.findall(
            r"environ(?:\.get\(|\[)\"([A-Z0-9_]+)\"(?!\] =)", path.read_text(encoding="utf-8")
        )
    }
    assert read > {"DAGSTER_POSTGRES_URL"}
    unlisted = {name for name in read if name.removesuffix("_FILE") not in listed_variables()}
    assert unlisted - given - HANDED_OVER == set()


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "privacy_key").touch()
    with pytest.raises(ConfigurationError, match="privacy_key is empty"):
        secret_file(tmp_path / "privacy_key")


def test_a_variable_that_is_empty_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POSTGRES_URL", "OBJECT_STORE_URL", "QUALITY_RULES", "HUB_PORT", "PRIVACY_KEY"):
        monkeypatch.setenv(name, "")
    settings = Settings(_env_file=None)
    assert settings.postgres_url is None
    assert settings.object_store_url is None
    assert settings.quality_rules is None
    assert settings.privacy_key is None
    assert settings.hub_port == 54321


def test_a_drop_closes_after_a_minute_with_and_without_containers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("QUIESCENCE_MINUTES", raising=False)
    root = Path(__file__).resolve().parents[2]
    compose = (root / "docker-compose.yml").read_text(encoding="utf-8")
    found = re.search(r"QUIESCENCE_MINUTES:-([\d.]+)", compose)
    assert found is not None
    assert Settings(_env_file=None).quiescence_minutes == float(found[1]) == 1
