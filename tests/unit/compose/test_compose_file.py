"""Holds what the compose file promises: rights, ports, secrets, limits, health, pinned images.

Where Docker Compose is installed its own reading of the file is tested too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from installation import secrets
from lakehouse.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT / "docker-compose.yml"
PROXY_FILE = ROOT / "docker" / "proxy.yml"
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
JOBS = {"secrets", "buckets", "databases", "migrations", "superset-bootstrap", "lakehouse", "admin"}
#: What a service may read: its folder of the secrets volume.
SECRET_FOLDERS = {
    "minio": {"minio"},
    "postgres": {"postgres"},
    "buckets": {"buckets", "platform", "dagster", "logins"},
    "databases": {"databases", "platform", "dagster", "superset", "hub"},
    "migrations": {"platform"},
    "superset-bootstrap": {"superset", "superset-users"},
    "code-location": {"platform"},
    "dagster-webserver": {"dagster"},
    "dagster-daemon": {"dagster"},
    "superset": {"superset"},
    "hub": {"hub"},
    "lakehouse": {"platform", "logins"},
    "admin": {"platform", "postgres", "minio", "logins"},
}
EIGHT_GIB = 8 * 1024**3


def read_by_yaml() -> dict[str, Any]:
    text = VARIABLE.sub(lambda match: match[2] or "", FILE.read_text(encoding="utf-8"))
    return dict(yaml.safe_load(text))


@cache
def _is_compose_installed() -> bool:
    """Whether the docker client has the plugin: clients word differently that they have not."""
    if not shutil.which("docker"):
        return False
    asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return asked.returncode == 0


def read_by_compose() -> dict[str, Any]:
    if not _is_compose_installed():
        pytest.skip("Docker Compose is not installed")
    command = ["docker", "compose", "-f", str(FILE), "--env-file", "/dev/null", "--profile", "*"]
    result = subprocess.run(
        [*command, "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


@pytest.fixture(params=["yaml", "compose"])
def compose(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read_by_yaml() if request.param == "yaml" else read_by_compose()


def host_address(port: Any) -> str:
    return str(port["host_ip"]) if isinstance(port, dict) else str(port).split(":")[0]


def mounts(service: dict[str, Any]) -> list[dict[str, Any]]:
    return [volume for volume in service.get("volumes", []) if isinstance(volume, dict)]


def in_bytes(limit: Any) -> int:
    match = re.fullmatch(r"(\d+)([mg]?)", str(limit))
    assert match, limit
    return int(match[1]) * {"": 1, "m": 1024**2, "g": 1024**3}[match[2]]


def test_every_service_of_the_specification_is_there(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {*SECRET_FOLDERS, "secrets"}


def test_every_container_is_an_ordinary_user_without_rights(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        user = str(service.get("user", ""))
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("cap_add"), name
        assert not service.get("privileged"), name
        assert service.get("read_only", False) is (name != "secrets"), name
        assert service["init"] is True, name
        assert service["pids_limit"], name


def test_no_container_sees_the_docker_socket(compose: dict[str, Any]) -> None:
    assert "docker.sock" not in json.dumps(compose)


def test_ports_are_on_this_machine_only(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for port in service.get("ports", []):
            assert host_address(port) == "127.0.0.1", name


def networks(compose: dict[str, Any], name: str) -> set[str]:
    return set(compose["services"][name].get("networks", []))


def neighbours(compose: dict[str, Any], name: str) -> set[str]:
    """The lasting services that share a network with this one."""
    own = networks(compose, name)
    return {
        other
        for other in compose["services"]
        if other not in JOBS | {name} and own & networks(compose, other)
    }


def test_only_the_code_location_and_the_command_line_have_a_way_out(
    compose: dict[str, Any],
) -> None:
    open_networks = {
        name
        for name, network in compose["networks"].items()
        if not (network or {}).get("internal")
        and "false" not in str((network or {}).get("driver_opts", {})).lower()
    }
    assert open_networks == {"outside"}
    reached = {name for name in compose["services"] if networks(compose, name) & open_networks}
    assert reached == {"code-location", "lakehouse"}


def test_superset_reaches_postgres_and_no_store_and_no_dagster(compose: dict[str, Any]) -> None:
    assert neighbours(compose, "superset") == {"postgres", "hub"}


def test_the_code_location_listens_where_dagster_alone_is(compose: dict[str, Any]) -> None:
    members = {name for name in compose["services"] if "dagster" in networks(compose, name)}
    assert members == {"code-location", "dagster-webserver", "dagster-daemon"}
    service = compose["services"]["code-location"]
    alias = "code-location-grpc"
    assert service["networks"]["dagster"]["aliases"] == [alias]
    assert service["command"][service["command"].index("--host") + 1] == alias
    workspace = (ROOT / "docker/dagster/workspace.yaml").read_text(encoding="utf-8")
    assert f"host: {alias}\n" in workspace


def test_the_proxy_closes_the_ports_of_what_is_behind_it() -> None:
    class Loader(yaml.SafeLoader):
        """Reads Compose's own tags."""

    Loader.add_constructor("!reset", lambda loader, node: "reset")
    proxied = yaml.load(PROXY_FILE.read_text(encoding="utf-8"), Loader)["services"]
    proxy = proxied.pop("proxy")
    assert {name for name, service in proxied.items() if service["ports"] == "reset"} == {
        "hub",
        "dagster-webserver",
        "superset",
    }
    assert proxied["superset"]["environment"] == {
        "SUPERSET_COOKIE_SECURE": "1",
        "SUPERSET_BEHIND_PROXY": "1",
    }
    assert proxy["cap_drop"] == ["ALL"]
    assert proxy["read_only"] is True
    assert proxy["pids_limit"]
    assert all(str(port).startswith("127.0.0.1:") for port in proxy["ports"])
    assert {secrets_mount["volume"]["subpath"] for secrets_mount in mounts(proxy)} == {"proxy"}
    caddy = (ROOT / "docker/caddy/Caddyfile").read_text(encoding="utf-8")
    assert all(f"reverse_proxy {name}:" in caddy for name in proxied)


def test_no_secret_is_in_an_environment(compose: dict[str, Any]) -> None:
    names = {secret.name for secret in secrets.SECRETS}
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            if variable.endswith("_FILE"):
                assert str(value).startswith(("/run/", "/secrets/")), (name, variable)
            else:
                assert variable not in names, (name, variable)
                assert not re.search("PASSWORD|SECRET|_KEY$", variable), (name, variable)


def test_what_env_says_of_secrets_is_a_file_of_the_job_that_keeps_them(
    compose: dict[str, Any],
) -> None:
    lines = compose["configs"]["given"]["content"].splitlines()
    assert [line.partition("=")[0] for line in lines] == [one.name for one in secrets.SECRETS]
    readers = {name for name, service in compose["services"].items() if service.get("configs")}
    assert readers == {"secrets"}
    (file,) = compose["services"]["secrets"]["configs"]
    assert file["target"] == compose["services"]["secrets"]["environment"]["GIVEN_VALUES"]


def test_who_is_handed_a_secret_has_it_from_a_job_that_may_write_there(
    compose: dict[str, Any],
) -> None:
    for secret in secrets.SECRETS:
        givers = [name for name in ("buckets", "databases") if name in secret.audiences]
        for audience in secret.handed_to:
            assert len(givers) == 1, secret.name
            assert audience in SECRET_FOLDERS[givers[0]], secret.name


def test_services_that_read_secrets_start_their_command_again_with_new_ones(
    compose: dict[str, Any],
) -> None:
    superset = (ROOT / "docker/superset/Dockerfile").read_text(encoding="utf-8")
    superset_command = re.search(r"^CMD (\[.*?\])$", superset.replace("\\\n", ""), re.MULTILINE)
    assert superset_command
    commands = {"superset": json.loads(superset_command[1])}
    for name, service in compose["services"].items():
        command = service.get("command") or commands[name]
        folders = {mount["target"] for mount in mounts(service)}
        if name not in JOBS | {"minio", "postgres"}:
            assert command[0] == "--watch", name
            assert command[1] in folders, name
            assert not service.get("entrypoint"), name  # it would hide the image's own
        else:
            assert "--watch" not in command, name


def test_secrets_reach_only_who_needs_them(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name == "secrets":
            continue
        folders = set()
        for mount in mounts(service):
            if mount["source"] != "secrets":
                continue
            folders.add(mount["volume"]["subpath"])
            folder = mount["volume"]["subpath"]
            handed_out = (name in ("buckets", "databases") and folder != name) or (
                name == "admin" and folder == "logins"
            )
            assert handed_out or mount["read_only"] is True, name
        assert folders == SECRET_FOLDERS[name], name


def test_every_secret_file_named_is_one_that_its_service_is_given(compose: dict[str, Any]) -> None:
    given: dict[str, set[str]] = {}
    for secret in secrets.SECRETS:
        for audience in (*secret.audiences, *secret.handed_to):
            given.setdefault(audience, set()).add(secret.file_name)
    for name, service in compose["services"].items():
        if name in ("secrets", "buckets"):
            continue
        folders = {
            mount["target"]: mount.get("volume", {}).get("subpath") for mount in mounts(service)
        }
        for variable, value in service.get("environment", {}).items():
            if variable.endswith("_FILE"):
                path = Path(str(value))
                assert path.name in given[str(folders[str(path.parent)])], (name, variable)


def test_memory_limits_fit_a_machine_of_eight_gibibytes(compose: dict[str, Any]) -> None:
    limits = {name: in_bytes(service["mem_limit"]) for name, service in compose["services"].items()}
    lasting = sum(limit for name, limit in limits.items() if name not in JOBS)
    assert lasting <= EIGHT_GIB * 0.95


def test_lasting_services_restart_have_health_and_stop_in_order(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name in JOBS:
            assert service["restart"] == "no", name
            continue
        assert service["restart"] == "unless-stopped", name
        assert service["stop_grace_period"], name
        assert service["healthcheck"]["test"], name


def test_every_job_is_waited_for(compose: dict[str, Any]) -> None:
    waited = {
        needed
        for service in compose["services"].values()
        for needed, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    assert waited == JOBS - {"lakehouse", "admin"}


def test_images_are_pinned_and_own_ones_are_built_here(compose: dict[str, Any]) -> None:
    built = [service["image"] for service in compose["services"].values() if service.get("build")]
    assert len(built) == len(set(built)) == 2  # an image that several build is exported by each
    for name, service in compose["services"].items():
        tag = service["image"].rpartition(":")[2]
        assert re.search(r"\d", tag) or service["image"] in built, name
        assert tag != "latest", name


def test_dockerfiles_install_by_hash_run_as_a_user_and_hold_no_address() -> None:
    files = list((ROOT / "docker").rglob("Dockerfile"))
    assert len(files) == 2
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert "--require-hashes" in text
        assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
        assert len(re.findall(r"^FROM ", text, re.MULTILINE)) == 2
        assert "http" not in re.sub(r"#.*", "", text)
        assert not re.search(r"PASSWORD|SECRET|TOKEN", text)


def test_images_carry_the_version_of_this_release(compose: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tags = {service["image"] for service in compose["services"].values() if service.get("build")}
    assert {tag.partition(":")[2] for tag in tags} == {project["version"]}


def test_every_level_of_logging_has_a_dagster_home_in_the_image(compose: dict[str, Any]) -> None:
    dockerfile = (ROOT / "docker/lakehouse/Dockerfile").read_text(encoding="utf-8")
    levels = re.search(r"for level in ([A-Z ]+);", dockerfile)
    assert levels
    assert levels[1].split() == list(get_args(Settings.model_fields["log_level"].annotation))
    assert "python_log_level: INFO" in (ROOT / "docker/dagster/dagster.yaml").read_text()
    for name in ("code-location", "dagster-webserver", "dagster-daemon"):
        assert compose["services"][name]["environment"]["DAGSTER_HOME"] == "/opt/dagster/INFO"


def test_the_builder_is_given_every_folder_that_an_image_copies() -> None:
    let_in = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    for path in (ROOT / "docker").rglob("Dockerfile"):
        for sources in re.findall(r"^COPY (?!--)(.+) \S+$", path.read_text(), re.MULTILINE):
            for source in sources.split():
                assert {source, source.split("/")[0]} & let_in, f"{path}: {source}"


def test_the_example_lists_every_variable_and_nothing_else() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    listed = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE))
    in_compose = {
        match[1]
        for file in (FILE, PROXY_FILE)
        for match in VARIABLE.finditer(file.read_text(encoding="utf-8"))
    }
    in_settings = {
        str(field.validation_alias or name).upper() for name, field in Settings.model_fields.items()
    }
    listed.discard("COMPOSE_FILE")  # read by Compose itself
    assert listed == in_compose | in_settings | {secret.name for secret in secrets.SECRETS}


def test_defaults_of_the_example_are_those_of_the_compose_file() -> None:
    example = dict(
        re.findall(
            r"^([A-Z][A-Z0-9_]+)=(.+)$",
            (ROOT / ".env.example").read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    )
    for file in (FILE, PROXY_FILE):
        for match in VARIABLE.finditer(file.read_text(encoding="utf-8")):
            assert (match[2] or "") == example.get(match[1], ""), match[1]
