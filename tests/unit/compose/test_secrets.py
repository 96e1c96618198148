"""Making, keeping and reading the secrets of an installation."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from installation import secrets
from lakehouse.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[3]


def test_secrets_are_made_once_and_then_kept(tmp_path: Path) -> None:
    first = secrets.generate(tmp_path, {})
    before = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    second = secrets.generate(tmp_path, {})
    assert before == {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert set(first.values()) == {"made"}
    assert second["PRIVACY_KEY"] == "kept"


def test_each_audience_finds_its_own_secrets_and_no_others(tmp_path: Path) -> None:
    secrets.generate(tmp_path, {})
    assert {path.name for path in (tmp_path / "proxy").iterdir()} == {"proxy_password"}
    assert {path.name for path in (tmp_path / "postgres").iterdir()} == {"postgres_admin_password"}
    login = (tmp_path / "proxy/proxy_password").read_text()
    assert login == (tmp_path / "logins/proxy_password").read_text()
    assert len(login) >= 32


def test_what_opens_a_store_is_handed_out_by_who_brought_it_in(tmp_path: Path) -> None:
    secrets.generate(tmp_path, {})
    assert list((tmp_path / "hub").iterdir()) == []  # there, for its container to mount
    password = (tmp_path / "databases/bi_reader_password").read_text()
    secrets.hand_out(tmp_path, {"BI_READER_PASSWORD": password})
    for reader in ("hub", "superset"):
        assert (tmp_path / reader / "bi_reader_password").read_text() == password
    secrets.rotate("BI_READER_PASSWORD", tmp_path, {})
    assert (tmp_path / "hub/bi_reader_password").read_text() == password


def test_no_two_secrets_are_the_same_and_files_are_not_for_everybody(tmp_path: Path) -> None:
    secrets.generate(tmp_path, {})
    values = [
        (tmp_path / "keeper" / secret.file_name).read_text()
        for secret in secrets.SECRETS
        if secret.fixed is None and not secret.optional
    ]
    assert len(set(values)) == len(values)
    for path in tmp_path.rglob("*"):
        assert not path.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP), path


def test_what_the_environment_sets_goes_first_also_later(tmp_path: Path) -> None:
    secrets.generate(tmp_path, {})
    origins = secrets.generate(tmp_path, {"BI_READER_PASSWORD": "chosen-by-hand"})
    assert origins["BI_READER_PASSWORD"] == "environment"
    assert (tmp_path / "databases/bi_reader_password").read_text() == "chosen-by-hand"


@pytest.mark.parametrize("value", ["changeme", "CHANGE-ME", " password "])
def test_a_placeholder_is_refused_with_the_name_of_the_variable(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigurationError, match="SUPERSET_ADMIN_PASSWORD is still a placeholder"):
        secrets.generate(tmp_path, {"SUPERSET_ADMIN_PASSWORD": value})


def test_a_short_password_is_refused_with_the_name_of_the_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="MINIO_ROOT_PASSWORD is too short"):
        secrets.generate(tmp_path, {"MINIO_ROOT_PASSWORD": "1234567"})


def test_a_dollar_sign_is_refused_since_compose_would_read_it_as_a_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="MINIO_ROOT_PASSWORD holds a dollar sign"):
        secrets.generate(tmp_path, {"MINIO_ROOT_PASSWORD": "pa$sword-long"})


def test_a_rotated_secret_is_new_for_all_who_read_it_and_stays(tmp_path: Path) -> None:
    secrets.generate(tmp_path, {})
    before = (tmp_path / "proxy/proxy_password").read_text()
    secrets.rotate("PROXY_PASSWORD", tmp_path, {})
    after = {(tmp_path / folder / "proxy_password").read_text() for folder in ("proxy", "logins")}
    secrets.generate(tmp_path, {})
    assert after == {(tmp_path / "keeper/proxy_password").read_text()}
    assert before not in after


def test_an_administrators_former_password_is_kept_to_bring_in_the_new_one(tmp_path: Path) -> None:
    secrets.generate(tmp_path, {})
    before = (tmp_path / "databases/postgres_admin_password").read_text()
    environ = {"X_FILE": str(tmp_path / "databases/postgres_admin_password")}
    assert secrets.former("X", environ) is None
    secrets.generate(tmp_path, {"POSTGRES_ADMIN_PASSWORD": "chosen-by-hand"})
    assert secrets.former("X", environ) == before


@pytest.mark.parametrize("name", ["NOTHING", "WEBHOOK_URL", "MINIO_ROOT_USER"])
def test_what_is_not_made_here_is_not_rotated(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="no secret that is made here"):
        secrets.rotate(name, tmp_path, {})


def test_a_secret_that_env_names_is_changed_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"set in \.env"):
        secrets.rotate("PRIVACY_KEY", tmp_path, {"PRIVACY_KEY": "chosen-by-hand"})


def test_several_are_rotated_at_once_or_none_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "given").write_text("PRIVACY_KEY=\n")
    monkeypatch.setenv("GIVEN_VALUES", str(tmp_path / "given"))
    volume = tmp_path / "volume"
    secrets.generate(volume, {})

    def values() -> list[str]:
        names = ("proxy_password", "superset_viewer_password")
        return [(volume / "logins" / name).read_text() for name in names]

    before = values()
    with pytest.raises(ConfigurationError, match="NOTHING is no secret"):
        secrets.main(["rotate", "PROXY_PASSWORD", "NOTHING", str(volume)])
    assert values() == before
    secrets.main(["rotate", "PROXY_PASSWORD", "SUPERSET_VIEWER_PASSWORD", str(volume)])
    assert not set(values()) & set(before)


def test_values_of_env_come_in_a_file_and_stay_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "given"
    path.write_text('PRIVACY_KEY=\nPROXY_PASSWORD=a=b "c" #d\n')
    found = secrets.given({"GIVEN_VALUES": str(path)})
    assert found == {"PRIVACY_KEY": "", "PROXY_PASSWORD": 'a=b "c" #d'}


def test_a_secret_of_two_lines_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "given"
    path.write_text("PROXY_PASSWORD=first\nsecond\n")
    with pytest.raises(ConfigurationError, match="more than one line"):
        secrets.given({"GIVEN_VALUES": str(path)})


def test_a_secret_is_read_from_the_variable_or_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("from-a-file\n")
    assert secrets.read("X", {"X": "from-the-variable", "X_FILE": str(path)}) == "from-the-variable"
    assert secrets.read("X", {"X_FILE": str(path)}) == "from-a-file"
    with pytest.raises(ConfigurationError, match="X is missing"):
        secrets.read("X", {})
    with pytest.raises(ConfigurationError, match="X_FILE names a file that cannot be read"):
        secrets.read("X", {"X_FILE": str(tmp_path / "absent")})


def test_make_secrets_fills_what_is_empty_keeps_the_rest_and_hides_the_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / ".env"
    path.write_text("BI_READER_PASSWORD=mine-already\nPRIVACY_KEY=\nHUB_PORT=1\nWEBHOOK_URL=\n")
    path.chmod(0o644)
    assert secrets.write_env_file(path, ROOT / ".env.example") == ["PRIVACY_KEY"]
    lines = dict(line.split("=", 1) for line in path.read_text().splitlines())
    assert lines["BI_READER_PASSWORD"] == "mine-already"
    assert len(lines["PRIVACY_KEY"]) >= 32
    assert (lines["HUB_PORT"], lines["WEBHOOK_URL"]) == ("1", "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_make_secrets_starts_from_the_example(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    filled = secrets.write_env_file(path, ROOT / ".env.example")
    assert len(filled) == sum(not secret.optional for secret in secrets.SECRETS)
    secrets.generate(
        tmp_path / "volume",
        dict(
            line.split("=", 1)
            for line in path.read_text().splitlines()
            if "=" in line and line[0] != "#"
        ),
    )


def test_credentials_lists_the_logins_of_people(tmp_path: Path) -> None:
    secrets.generate(tmp_path, {})
    found = secrets.credentials(tmp_path / "logins", {"superset": "http://s", "proxy": "https://p"})
    assert [(entry.service, entry.user) for entry in found] == [
        ("Superset", "admin"),
        ("Superset", "analyst"),
        ("Superset", "viewer"),
        ("Proxy", "lakehouse"),
    ]
