"""The platform as a user has it, from nothing to the dashboards: filled through S3, hurt, restarted.

The same steps for the container stack and without containers; LAKEHOUSE_E2E says which
(``make e2e``, ``make e2e-native``). Each step builds on the one before.
"""

from __future__ import annotations

import os
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
from tests.e2e.stack import ROOT, Dagster, Run, Stack, Superset, drop, rows, status, wait_until

SCREENSHOTS = ROOT / "tests/e2e/screenshots"
DROP = ROOT / "samples/drops/cohort-a/fhir/2026-01-cohort-a"
CORRECTIONS = ROOT / "samples/drops/cohort-a/fhir/2026-02-corrections"
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


def services(stack: Stack) -> dict[str, bool]:
    """What the hub says of each service."""
    answer = httpx.get(f"{stack.addresses.hub}/services.json", timeout=10, trust_env=False)
    answer.raise_for_status()
    return {entry["service"]: entry["healthy"] for entry in answer.json()["services"]}


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


@pytest.mark.parametrize(
    "name",
    [
        "LAKEHOUSE_DB_PASSWORD",
        "DAGSTER_DB_PASSWORD",
        "SUPERSET_DB_PASSWORD",
        "BI_READER_PASSWORD",
        "POSTGRES_ADMIN_PASSWORD",
    ],
)
def test_07b_a_secret_is_changed_by_one_command_and_everything_goes_on(
    containers: ComposeStack, superset: Superset, measured: dict[str, str], name: str
) -> None:
    (secret,) = (one for one in SECRETS if one.name == name)
    audiences = (*secret.audiences, *secret.handed_to)
    readers = [reader for audience in audiences for reader in READERS.get(audience, ())]
    before = {reader: containers.container_started(reader) for reader in readers}
    started, moment = time.monotonic(), datetime.now(UTC)
    containers.rotate(name)

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
    measured[f"{name} changed, all services well"] = seconds(time.monotonic() - started)


def test_08_no_image_is_too_large(containers: ComposeStack, measured: dict[str, str]) -> None:
    sizes = containers.image_sizes()
    measured.update({f"image {name}": f"{size / 1e9:.2f} GB" for name, size in sizes.items()})
    assert sizes
    assert {name for name, size in sizes.items() if size > IMAGE_LIMIT_BYTES} == set()


def test_09_a_backup_restored_into_an_empty_stack_has_every_count(
    stack: Stack, superset: Superset, measured: dict[str, str], tmp_path: Path
) -> None:
    before = counts(stack)
    shown = superset.encounters()
    archive = tmp_path / "backup.tar"
    started = time.monotonic()
    stack.backup(archive)
    measured["backup while everything runs"] = seconds(time.monotonic() - started)
    stack.remove()
    started = time.monotonic()
    stack.restore(archive)
    measured["restore into an empty stack"] = seconds(time.monotonic() - started)
    stack.start()
    assert counts(stack) == before
    assert Superset(stack.addresses.superset, stack.viewer()).encounters() == shown
    assert "intact" in stack.command("audit").decode()


def seconds(value: float) -> str:
    return f"{value:.0f} s"
