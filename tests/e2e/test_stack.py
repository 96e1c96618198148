"""The platform as a user has it, from nothing to the dashboards: filled through S3, hurt, restarted.

The same steps for the container stack and without containers; LAKEHOUSE_E2E says which
(``make e2e``, ``make e2e-native``). Each step builds on the one before.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from installation.secrets import SECRETS
from tests.e2e import dashboards
from tests.e2e.compose_stack import ComposeStack
from tests.e2e.native_stack import NativeStack
from tests.e2e.stack import ROOT, Dagster, Run, Stack, Superset, drop, rows, status, wait_until

SCREENSHOTS = ROOT / "tests/e2e/screenshots"
DROP = ROOT / "samples/drops/cohort-a/fhir/2026-01-cohort-a"
CORRECTIONS = ROOT / "samples/drops/cohort-a/fhir/2026-02-corrections"
LATER = ROOT / "samples/drops/cohort-b/fhir/2026-01-cohort-b"
#: From the drop to the dashboard on a free machine: two minutes. A loaded one may take longer.
PATIENCE_SECONDS = float(os.environ.get("LAKEHOUSE_E2E_PATIENCE", "600"))
#: No image may be larger.
IMAGE_LIMIT_BYTES = 1.5e9
#: Jobs that come before Silver; any other run writes Silver, Gold or marts.
BEFORE_SILVER = {"intake", "landing"}
KEYS = {
    "silver.patient": "patient_id",
    "silver.encounter": "encounter_id",
    "silver.condition": "condition_id",
    "silver.observation": "observation_id",
    "gold.encounter_summary": "encounter_summary_id",
}

pytestmark = [
    pytest.mark.skipif("LAKEHOUSE_E2E" not in os.environ, reason="make e2e, or make e2e-native"),
    pytest.mark.timeout(3600),
]


@pytest.fixture
def containers(stack: Stack) -> ComposeStack:
    if not isinstance(stack, ComposeStack):
        pytest.skip("only containers have this")
    return stack


@pytest.fixture
def native(stack: Stack) -> NativeStack:
    if not isinstance(stack, NativeStack):
        pytest.skip("containers do this as the way back from an upgrade")
    return stack


def services(stack: Stack) -> dict[str, bool]:
    """What the hub says of each service."""
    answer = httpx.get(f"{stack.addresses.hub}/services.json", timeout=10, trust_env=False)
    answer.raise_for_status()
    return {entry["service"]: entry["healthy"] for entry in answer.json()["services"]}


def details(stack: Stack) -> dict[str, str]:
    """What the hub says is wrong with each service, or what is there."""
    answer = httpx.get(f"{stack.addresses.hub}/services.json", timeout=10, trust_env=False)
    answer.raise_for_status()
    return {entry["service"]: entry["detail"] for entry in answer.json()["services"]}


def counts(stack: Stack) -> list[dict[str, object]]:
    """Rows and distinct keys of the tables that matter."""
    return rows(
        stack,
        " union all ".join(
            f"select '{table}' as name, count(*) as n, count(distinct {key}) as keys from {table}"
            for table, key in KEYS.items()
        ),
    )


def test_01_everything_comes_up_without_a_step_before(
    stack: Stack, measured: dict[str, str]
) -> None:
    started = time.monotonic()
    stack.build()
    measured["images or environments made"] = seconds(time.monotonic() - started)
    started = time.monotonic()
    stack.start()
    measured["from empty stores until all services answer"] = seconds(time.monotonic() - started)
    wait_until(
        "the hub seeing every service",
        lambda: all(services(stack).values()),
        seconds=PATIENCE_SECONDS,
    )
    seen = services(stack)
    assert {"Postgres", "Object store", "Superset", "Code location", "Dagster daemon"} <= set(seen)


def test_02_the_object_store_keeps_the_contract(containers: ComposeStack) -> None:
    administrator = containers.store_administrator()
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/integration/object_store"],
        cwd=ROOT,
        env=os.environ
        | {
            "TEST_S3_ENDPOINT": containers.addresses.store,
            "TEST_S3_ACCESS_KEY": administrator.user,
            "TEST_S3_SECRET_KEY": administrator.password,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-5000:]
    assert " passed" in result.stdout


def test_03_files_dropped_through_s3_reach_the_dashboards_by_themselves(
    stack: Stack, superset: Superset, measured: dict[str, str]
) -> None:
    assert superset.encounters() == 0
    drop(stack, DROP, "e2e/fhir/first")
    took = wait_until(
        "the drop reaching the dashboards",
        lambda: superset.encounters() > 0,
        seconds=PATIENCE_SECONDS,
        pause=1,
    )
    measured["from the drop to the dashboard"] = seconds(took)
    in_sql = rows(stack, "select count(*) as n from gold.encounter_summary")
    assert in_sql == [{"n": superset.encounters()}]


def test_04_a_run_whose_code_location_was_killed_recovers(
    stack: Stack, superset: Superset, measured: dict[str, str]
) -> None:
    dagster = Dagster(stack.addresses.dagster)
    earlier = {run.run_id for run in dagster.runs()}

    def building() -> list[Run]:
        return [
            run
            for run in dagster.runs()
            if run.run_id not in earlier
            and run.status == "STARTED"
            and run.job not in BEFORE_SILVER
        ]

    drop(stack, CORRECTIONS, "e2e/fhir/second")
    wait_until("a build starting", lambda: bool(building()), seconds=PATIENCE_SECONDS, pause=0.2)
    killed = building()[0].run_id
    stack.kill_code_location()

    def retried() -> bool:
        return any(run.retry_of == killed and run.status == "SUCCESS" for run in dagster.runs())

    took = wait_until(
        "the killed run being started again and succeeding", retried, seconds=PATIENCE_SECONDS
    )
    measured["from the kill until the run's retry has succeeded"] = seconds(took)
    assert next(run.status for run in dagster.runs() if run.run_id == killed) == "FAILURE"
    wait_until(
        "every submission being published",
        lambda: {found["state"] for found in status(stack)["submissions"]} == {"PUBLISHED"},
        seconds=PATIENCE_SECONDS,
    )
    found = counts(stack)
    assert [entry["name"] for entry in found if entry["n"] != entry["keys"]] == []
    assert all(entry["n"] for entry in found)
    assert "intact" in stack.command("audit").decode()


def test_05_down_and_up_lose_nothing(
    stack: Stack, superset: Superset, measured: dict[str, str]
) -> None:
    def everything() -> list[object]:
        return [
            superset.encounters(),
            counts(stack),
            [(found["submission_id"], found["state"]) for found in status(stack)["submissions"]],
        ]

    before = everything()
    stack.stop()
    started = time.monotonic()
    stack.start()
    measured["from down until all services answer again"] = seconds(time.monotonic() - started)
    assert everything() == before
    wait_until(
        "the hub seeing every service",
        lambda: all(services(stack).values()),
        seconds=PATIENCE_SECONDS,
    )


@pytest.mark.browser
@pytest.mark.skipif(not Path(dashboards.CHROMIUM).exists(), reason="Chromium is not installed")
def test_06_every_dashboard_draws_on_the_real_marts(stack: Stack) -> None:
    address = stack.addresses.superset
    login = stack.viewer()
    with dashboards.browser(address) as page:
        dashboards.log_in(page, address, login.user, login.password)
        for slug, charts in dashboards.bundled_dashboards().items():
            opened = dashboards.open_dashboard(
                page, address, slug, charts, SCREENSHOTS / f"stack-{slug}.png"
            )
            assert opened.charts == charts
            assert opened.errors == []
            assert opened.failed_requests == []


def test_07_the_proxy_asks_for_a_login_and_speaks_tls(containers: ComposeStack) -> None:
    containers.start_proxy()
    login = containers.proxy_login()
    trusted = containers.proxy_authority()
    with httpx.Client(verify=trusted, timeout=30, trust_env=False) as stranger:
        for address in (containers.proxied_hub, containers.proxied_dagster):
            assert stranger.get(address).status_code == httpx.codes.UNAUTHORIZED
        assert stranger.get(f"{containers.proxied_superset}/health").text == "OK"
    for own in (containers.addresses.hub, containers.addresses.superset):
        with pytest.raises(httpx.HTTPError):
            httpx.get(own, timeout=5, trust_env=False)
    with httpx.Client(
        verify=trusted, timeout=30, trust_env=False, auth=(login.user, login.password)
    ) as known:
        assert "Health lakehouse" in known.get(containers.proxied_hub).text
        info = known.get(f"{containers.proxied_dagster}/server_info")
        assert "dagster_version" in info.json()
        containers.rotate("PROXY_PASSWORD")
        wait_until(
            "the proxy refusing the former password",
            lambda: known.get(containers.proxied_hub).status_code == httpx.codes.UNAUTHORIZED,
            seconds=PATIENCE_SECONDS,
            pause=0.5,
        )
        new = containers.proxy_login()
        answer = known.get(containers.proxied_hub, auth=(new.user, new.password))
        assert "Health lakehouse" in answer.text
    containers.stop_proxy()


def test_07a_each_service_reaches_what_it_needs_and_no_more(containers: ComposeStack) -> None:
    assert containers.reaches("superset", "postgres", 5432)
    assert containers.reaches("dagster-daemon", "code-location-grpc", 4000)
    for service, host, port in (
        ("superset", "code-location", 4000),
        ("superset", "minio", 9000),
        ("superset", "dagster-webserver", 3000),
        ("hub", "code-location", 4000),
    ):
        assert not containers.reaches(service, host, port), (service, host)


#: Which services read the secrets of an audience; each is started again when one of them is new.
READERS = {
    "platform": ("code-location",),
    "dagster": ("dagster-webserver", "dagster-daemon"),
    "superset": ("superset",),
    "hub": ("hub",),
}
STORE_KEYS = ("MINIO_ROOT_PASSWORD", "OBJECT_STORE_SECRET_KEY", "DAGSTER_STORE_SECRET_KEY")


@pytest.mark.parametrize(
    "names",
    [
        ("LAKEHOUSE_DB_PASSWORD",),
        ("DAGSTER_DB_PASSWORD", "BI_READER_PASSWORD"),
        (
            "SUPERSET_DB_PASSWORD",
            "SUPERSET_SECRET_KEY",
            "SUPERSET_ADMIN_PASSWORD",
            "SUPERSET_ANALYST_PASSWORD",
            "SUPERSET_VIEWER_PASSWORD",
        ),
        ("POSTGRES_ADMIN_PASSWORD",),
        STORE_KEYS,
    ],
    ids=lambda names: names[0],
)
def test_07b_secrets_are_changed_by_one_command_and_everything_goes_on(
    containers: ComposeStack, superset: Superset, measured: dict[str, str], names: tuple[str, ...]
) -> None:
    audiences = {
        audience
        for secret in SECRETS
        if secret.name in names
        for audience in (*secret.audiences, *secret.handed_to)
    }
    readers = [reader for audience in audiences for reader in READERS.get(audience, ())]
    before = {reader: containers.container_started(reader) for reader in readers}
    theirs = added_database(containers) if "SUPERSET_SECRET_KEY" in names else None
    started, moment = time.monotonic(), datetime.now(UTC)
    if names == STORE_KEYS:
        containers.rotate_store_keys()
    else:
        containers.rotate(*names)
    superset.log_in_as(containers.viewer())

    def again(reader: str) -> bool:
        return containers.command_started(reader) >= moment and containers.is_well(reader)

    def shown() -> bool:
        try:
            return all(services(containers).values()) and superset.encounters() > 0
        except httpx.HTTPError:
            return False  # it is on its way up

    wait_until(
        "every service that reads the secret being started again",
        lambda: all(again(reader) for reader in readers),
        seconds=PATIENCE_SECONDS,
    )
    wait_until("hub and dashboards being well", shown, seconds=PATIENCE_SECONDS)
    assert {reader: containers.container_started(reader) for reader in readers} == before
    assert status(containers)["submissions"]
    if theirs is not None:
        administrator = containers.superset_administrator()
        assert Superset(containers.addresses.superset, administrator).knows_password_of(theirs)
    measured[f"{', '.join(names)} changed, all services well"] = seconds(time.monotonic() - started)


def added_database(containers: ComposeStack) -> int:
    """A database that somebody added to Superset, with a password."""
    administrator = containers.superset_administrator()
    password = containers.secret("BI_READER_PASSWORD")
    return Superset(containers.addresses.superset, administrator).add_database(
        "added by a person", f"postgresql+psycopg2://bi_reader:{password}@postgres:5432/marts"
    )


def test_07c_the_hub_says_which_part_of_a_service_fails_and_why(containers: ComposeStack) -> None:
    containers.spoil("platform", "lakehouse_db_password")
    wait_until(
        "the hub saying what is wrong with the code location",
        lambda: (
            "Postgres refuses the password of the role lakehouse"
            in details(containers)["Code location"]
        ),
        seconds=PATIENCE_SECONDS,
    )
    containers.start()  # the set-up job hands out what is right
    wait_until(
        "the hub seeing every service",
        lambda: all(services(containers).values()),
        seconds=PATIENCE_SECONDS,
    )


def test_07d_no_container_shows_a_secret_in_its_environment(containers: ComposeStack) -> None:
    shown, kept = containers.environments(), containers.secrets_by_name()
    for secret in SECRETS:
        if secret.fixed is None and (value := kept[secret.file_name]):
            assert value not in shown, secret.name


def test_08_no_image_is_too_large(containers: ComposeStack, measured: dict[str, str]) -> None:
    sizes = containers.image_sizes()
    measured.update({f"image {name}": f"{size / 1e9:.2f} GB" for name, size in sizes.items()})
    assert sizes
    assert {name for name, size in sizes.items() if size > IMAGE_LIMIT_BYTES} == set()


def test_09_an_upgrade_backs_up_first_and_there_is_a_way_back(
    containers: ComposeStack, superset: Superset, measured: dict[str, str], tmp_path: Path
) -> None:
    before, archive = counts(containers), tmp_path / "backup"
    (former, _), started = containers.versions(), time.monotonic()
    containers.upgrade("e2e-next", archive)
    measured["upgrade, with a backup first"] = seconds(time.monotonic() - started)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    running, there = containers.versions()
    assert running == "e2e-next"
    assert former in there
    assert counts(containers) == before

    drop(containers, LATER, "e2e/fhir/third")
    wait_until(
        "a drop being taken in by the new version",
        lambda: len(status(containers)["submissions"]) > 2,
        seconds=PATIENCE_SECONDS,
    )
    started = time.monotonic()
    containers.go_back(archive)
    measured["the way back, data included"] = seconds(time.monotonic() - started)
    containers.forget("e2e-next")
    assert containers.versions()[0] == former
    assert counts(containers) == before
    superset.log_in_as(containers.viewer())
    assert superset.encounters() > 0
    assert "intact" in containers.command("audit").decode()


def test_10_a_backup_restored_into_an_empty_stack_has_every_count(
    native: NativeStack, superset: Superset, measured: dict[str, str], tmp_path: Path
) -> None:
    before = counts(native)
    shown = superset.encounters()
    archive = tmp_path / "backup.tar"
    started = time.monotonic()
    native.backup(archive)
    measured["backup while everything runs"] = seconds(time.monotonic() - started)
    native.remove()
    started = time.monotonic()
    native.restore(archive)
    measured["restore into an empty stack"] = seconds(time.monotonic() - started)
    native.start()
    assert counts(native) == before
    assert Superset(native.addresses.superset, native.viewer()).encounters() == shown
    assert "intact" in native.command("audit").decode()


def seconds(value: float) -> str:
    return f"{value:.0f} s"
