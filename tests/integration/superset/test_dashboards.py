"""Dashboards in a real browser, roles and row-level security over Superset's own API."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest
import yaml

from boards.files import read_dashboard
from lakehouse.errors import LakehouseError
from tests.e2e import dashboards

if TYPE_CHECKING:
    from conftest import RunningSuperset

ROOT = Path(__file__).resolve().parents[3]
SCREENSHOTS = ROOT / "tests/e2e/screenshots"
pytestmark = pytest.mark.slow
needs_chromium = pytest.mark.skipif(
    not Path(dashboards.CHROMIUM).exists(), reason="Chromium is not installed"
)


def copy_of_the_files(folder: Path) -> Path:
    """What the bootstrap reads, to change."""
    for name in ("datasets.yaml", "access.yaml"):
        shutil.copy(ROOT / "superset" / name, folder)
    shutil.copytree(ROOT / "superset/dashboards", folder / "dashboards")
    return folder


def edit(path: Path, change: Callable[[Any], object]) -> None:
    content = yaml.safe_load(path.read_text("utf-8"))
    change(content)
    path.write_text(yaml.safe_dump(content), "utf-8")


@pytest.fixture
def api(superset: RunningSuperset) -> Iterator[Any]:
    """A function that gives a client logged in as a user."""
    clients = []

    def log_in(user: str, password: str | None = None) -> httpx.Client:
        client = httpx.Client(base_url=superset.address, timeout=60, trust_env=False)
        clients.append(client)
        answer = client.post(
            "/api/v1/security/login",
            json={
                "username": user,
                "password": password or superset.passwords[user],
                "provider": "db",
                "refresh": False,
            },
        )
        answer.raise_for_status()
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        token = client.get("/api/v1/security/csrf_token/")
        client.headers["X-CSRFToken"] = token.json()["result"]
        client.headers["Referer"] = superset.address
        return client

    yield log_in
    for client in clients:
        client.close()


def dataset_id(client: httpx.Client, name: str) -> int:
    query = f"(filters:!((col:table_name,opr:eq,value:{name})))"
    return int(client.get("/api/v1/dataset/", params={"q": query}).json()["result"][0]["id"])


def ask(client: httpx.Client, dataset: int, metric: str, **query: Any) -> httpx.Response:
    return client.post(
        "/api/v1/chart/data",
        json={
            "datasource": {"id": dataset, "type": "table"},
            "force": True,
            "queries": [{"columns": [], "metrics": [metric], "row_limit": 100, **query}],
        },
    )


@pytest.mark.browser
@needs_chromium
def test_every_chart_of_every_dashboard_draws_without_an_error(superset: RunningSuperset) -> None:
    with dashboards.browser(superset.address) as page:
        dashboards.log_in(page, superset.address, "viewer", superset.passwords["viewer"])
        for slug, charts in dashboards.bundled_dashboards().items():
            opened = dashboards.open_dashboard(
                page, superset.address, slug, charts, SCREENSHOTS / f"{slug}.png"
            )
            assert opened.charts == charts, opened
            assert opened.errors == []
            assert opened.empty == []
            assert opened.outside_requests == []
            assert opened.failed_requests == []


@pytest.mark.browser
@needs_chromium
def test_the_number_on_the_dashboard_is_the_number_in_the_mart(superset: RunningSuperset) -> None:
    with psycopg.connect(superset.settings.libpq_url("marts")) as connection:
        row = connection.execute(
            "select count(distinct patient_key) from marts.patient_encounter_summary"
        ).fetchone()
    assert row is not None
    with dashboards.browser(superset.address) as page:
        dashboards.log_in(page, superset.address, "viewer", superset.passwords["viewer"])
        dashboards.open_dashboard(page, superset.address, "clinical-overview", 13)
        shown = page.locator('[data-test="slice-container"] .header-line').first.inner_text()
    assert shown.replace(",", "").strip() == str(row[0])


def test_a_second_bootstrap_changes_nothing(superset: RunningSuperset) -> None:
    def identity() -> list[Any]:
        with psycopg.connect(superset.settings.libpq_url("superset")) as connection:
            return [
                connection.execute(f"select id from {table} order by id").fetchall()
                for table in ("dashboards", "slices", "tables", "dbs", "ab_user", "ab_role")
            ]

    before = identity()
    superset.native.bootstrap(superset.place)
    assert identity() == before


def test_assets_that_left_the_bundle_are_removed_and_peoples_own_stay(
    superset: RunningSuperset, tmp_path: Path, api: Any
) -> None:
    analyst = api("analyst")
    own = analyst.post(
        "/api/v1/chart/",
        json={
            "slice_name": "An analyst's own chart",
            "viz_type": "big_number_total",
            "datasource_id": dataset_id(analyst, "imaging_inventory"),
            "datasource_type": "table",
            "params": "{}",
        },
    )
    assert own.status_code == 201, own.text
    folder = copy_of_the_files(tmp_path)
    leaving = {"title": "A chart that will go", "kind": "number", "metrics": ["studies"]}
    edit(
        folder / "dashboards/imaging.yaml",
        lambda content: content["rows"].append({"height": 20, "charts": [leaving]}),
    )

    def names() -> set[str]:
        with psycopg.connect(superset.settings.libpq_url("superset")) as connection:
            return {row[0] for row in connection.execute("select slice_name from slices")}

    superset.native.bootstrap(superset.place, folder)
    assert "A chart that will go" in names()
    superset.native.bootstrap(superset.place)
    assert "A chart that will go" not in names()
    assert "An analyst's own chart" in names()
    analyst.delete(f"/api/v1/chart/{own.json()['id']}")


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("dashboards/imaging.yaml", lambda c: c["rows"][0]["charts"][0].update(kind="gauge")),
        # Superset's own schema refuses it: a number format is a text.
        (
            "datasets.yaml",
            lambda c: c["marts"]["imaging_inventory"]["metrics"]["studies"].update(format=7),
        ),
    ],
)
def test_an_invalid_asset_stops_the_bootstrap_and_leaves_everything(
    superset: RunningSuperset, tmp_path: Path, file: str, change: Callable[[Any], None]
) -> None:
    folder = copy_of_the_files(tmp_path)
    edit(folder / file, change)
    with pytest.raises(Exception, match="could not be brought up to date"):
        superset.native.bootstrap(superset.place, folder)


def test_a_dashboard_of_superset_is_exported_as_its_file(superset: RunningSuperset) -> None:
    for path in sorted((ROOT / "superset/dashboards").glob("*.yaml")):
        assert superset.native.export(superset.place, path.stem) == path.read_text("utf-8")


def test_what_somebody_changed_in_superset_is_in_the_exported_file(
    superset: RunningSuperset, tmp_path: Path, api: Any
) -> None:
    admin = api("admin")
    stored = admin.get("/api/v1/dashboard/imaging").json()["result"]
    copied = admin.post(
        f"/api/v1/dashboard/{stored['id']}/copy/",
        json={
            "dashboard_title": "Imaging, mine",
            "duplicate_slices": True,
            "json_metadata": json.dumps(
                {
                    **json.loads(stored["json_metadata"]),
                    "positions": json.loads(stored["position_json"]),
                }
            ),
        },
    )
    assert copied.status_code == 200, copied.text
    number = copied.json()["result"]["id"]
    charts = admin.get(f"/api/v1/dashboard/{number}/charts").json()["result"]
    table = next(c for c in charts if c["slice_name"].startswith("Equipment"))
    params = {**table["form_data"], "row_limit": 7, "metrics": ["studies"]}
    changed = admin.put(
        f"/api/v1/chart/{table['id']}",
        json={"slice_name": "Equipment, the seven most used", "params": json.dumps(params)},
    )
    assert changed.status_code == 200, changed.text

    exported = tmp_path / "imaging.yaml"
    exported.write_text(superset.native.export(superset.place, str(number), "imaging"), "utf-8")
    mine = read_dashboard(exported)
    ours = read_dashboard(ROOT / "superset/dashboards/imaging.yaml")
    (equipment,) = (c for c in mine.charts() if c.title == "Equipment, the seven most used")
    assert (equipment.limit, equipment.metrics) == (7, ("studies",))
    assert mine.title == "Imaging, mine"
    assert mine.filters == ours.filters
    assert {c.title: c for c in mine.charts() if c is not equipment} == {
        c.title: c for c in ours.charts() if not c.title.startswith("Equipment")
    }
    admin.delete(f"/api/v1/dashboard/{number}")
    for chart in charts:
        admin.delete(f"/api/v1/chart/{chart['id']}")


def test_an_export_of_what_is_not_there_is_an_error(superset: RunningSuperset) -> None:
    with pytest.raises(LakehouseError, match="Superset holds no dashboard nothing"):
        superset.native.export(superset.place, "nothing")


def test_users_roles_and_rules_that_left_the_file_leave_superset(
    superset: RunningSuperset, tmp_path: Path, api: Any
) -> None:
    admin = api("admin")
    folder = copy_of_the_files(tmp_path)

    def add(content: Any) -> None:
        content["roles"]["lakehouse_guest"] = {"like": ["Gamma"], "grant": ["datasets"]}
        for user in ("guest", "author"):
            content["users"][user] = {
                "password": "SUPERSET_VIEWER_PASSWORD",
                "roles": ["lakehouse_guest"],
            }
        content["row_level_security"].append(
            {
                "name": "guests see CT",
                "description": "An example.",
                "clause": "modality = 'CT'",
                "roles": ["example_guest_only"],
                "datasets": ["imaging_inventory"],
            }
        )

    def there() -> set[str]:
        with psycopg.connect(superset.settings.libpq_url("superset")) as connection:
            rows = connection.execute(
                "select username from ab_user where active union all select name from ab_role"
                " union all select name from row_level_security_filters"
            ).fetchall()
        return {row[0] for row in rows}

    before = there()
    edit(folder / "access.yaml", add)
    superset.native.bootstrap(superset.place, folder)
    added = {"guest", "author", "lakehouse_guest", "example_guest_only", "guests see CT"}
    assert there() - before == added
    author = api("author", superset.passwords["viewer"])
    assert author.get("/api/v1/me/").status_code == 200
    own = admin.post("/api/v1/security/roles/", json={"name": "made_by_hand"})
    assert own.status_code == 201, own.text

    superset.native.bootstrap(superset.place)
    assert there() - before == {"made_by_hand"}
    with pytest.raises(httpx.HTTPStatusError, match="401"):
        api("author", superset.passwords["viewer"])
    admin.delete(f"/api/v1/security/roles/{own.json()['id']}")


def test_a_viewer_reads_dashboards_and_neither_writes_sql_nor_changes_a_chart(
    superset: RunningSuperset, api: Any
) -> None:
    viewer = api("viewer")
    assert ask(viewer, dataset_id(viewer, "imaging_inventory"), "studies").status_code == 200
    sql = viewer.post(
        "/api/v1/sqllab/execute/", json={"database_id": 1, "sql": "select 1", "schema": "marts"}
    )
    assert sql.status_code in (401, 403)
    chart = viewer.get("/api/v1/chart/").json()["result"][0]["id"]
    assert viewer.put(f"/api/v1/chart/{chart}", json={"slice_name": "x"}).status_code in (401, 403)


def test_single_patients_are_shown_to_those_who_may_alone(
    superset: RunningSuperset, api: Any
) -> None:
    admin = api("admin")
    timeline = dataset_id(admin, "patient_timeline")
    assert ask(admin, timeline, "events").json()["result"][0]["data"] == [{"events": 600}]
    assert ask(api("viewer"), timeline, "events").status_code == 403
    # An analyst may ask every table of the connection; the row rule leaves none of this one.
    analyst = api("analyst")
    assert ask(analyst, timeline, "events").json()["result"][0]["data"] == [{"events": 0}]
    database = next(
        entry["id"]
        for entry in analyst.get("/api/v1/database/").json()["result"]
        if entry["database_name"] == "marts"
    )
    seen = analyst.post(
        "/api/v1/sqllab/execute/",
        json={
            "database_id": database,
            "sql": "select patient_key from marts.patient_timeline",
            "schema": "marts",
            "runAsync": False,
        },
    )
    assert seen.status_code >= 400 or seen.json()["data"] == []


def test_an_analyst_writes_sql_but_the_database_refuses_to_change_anything(
    superset: RunningSuperset, api: Any
) -> None:
    analyst = api("analyst")
    database = next(
        entry["id"]
        for entry in analyst.get("/api/v1/database/").json()["result"]
        if entry["database_name"] == "marts"
    )

    def run(sql: str) -> httpx.Response:
        return analyst.post(
            "/api/v1/sqllab/execute/",
            json={"database_id": database, "sql": sql, "schema": "marts", "runAsync": False},
        )

    counted = run("select count(*) as n from marts.imaging_inventory")
    assert counted.status_code == 200
    assert counted.json()["data"][0]["n"] == 600
    assert run("delete from marts.imaging_inventory").status_code >= 400
    with psycopg.connect(superset.settings.libpq_url("marts")) as connection:
        connection.execute("set role bi_reader")
        with pytest.raises(psycopg.Error):
            connection.execute("delete from marts.imaging_inventory")


def test_the_row_level_security_example_shows_ambulatory_encounters_only(
    superset: RunningSuperset, api: Any
) -> None:
    admin = api("admin")
    roles = {
        role["name"]: role["id"]
        for role in admin.get("/api/v1/security/roles/?q=(page_size:100)").json()["result"]
    }
    made = admin.post(
        "/api/v1/security/users/",
        json={
            "username": "ward",
            "first_name": "Ward",
            "last_name": "Example",
            "email": "ward@localhost.localdomain",
            "active": True,
            "password": "only-for-this-test",
            "roles": [roles["lakehouse_viewer"], roles["example_ambulatory_only"]],
        },
    )
    assert made.status_code == 201, made.text
    ward = api("ward", "only-for-this-test")
    answer = ask(
        ward,
        dataset_id(ward, "patient_encounter_summary"),
        "encounters",
        columns=["encounter_class"],
    )
    rows = answer.json()["result"][0]["data"]
    assert [row["encounter_class"] for row in rows] == ["ambulatory"]
    admin.delete(f"/api/v1/security/users/{made.json()['id']}")
