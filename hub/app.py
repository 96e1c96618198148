"""The web application: the page, its health address, and the generated documents it serves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from hub.observer import Observer
from lakehouse.settings import Settings

#: How often the browser asks again. A plain header does it, so no script is needed.
REFRESH_SECONDS = 30
SERVICE_PORTS = {"Dagster": "dagster_port", "Superset": "superset_port"}
CONSOLE_PORT = 9001
#: Shown where there is no value.
NOTHING = "\N{EN DASH}"
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Document:
    """One generated set of pages, in a folder below ``<home>/site``."""

    folder: str
    title: str
    about: str
    made_by: str


DOCUMENTS = (
    Document("data-docs", "Data Docs", "what was checked, and the results", "lakehouse check"),
    Document("dbt-docs", "dbt docs", "models, columns and lineage", "lakehouse docs"),
    Document("dictionary", "Data dictionary", "every table and column", "lakehouse docs"),
)


class _SafeHeaders(BaseHTTPMiddleware):
    """The hub itself runs no script; the generated documents bring their own."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        if not request.url.path.startswith("/docs/"):
            response.headers["Content-Security-Policy"] = (
                "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'"
            )
        return response


def create_app(settings: Settings, observer: Observer | None = None) -> Starlette:
    """The hub of ``settings``; a test's own ``observer`` is not started."""
    watcher = observer or Observer(settings)
    site = settings.home / "site"
    templates = Environment(
        loader=PackageLoader("hub"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(ago=ago, size=size, duration=duration)

    async def front_page(request: Request) -> HTMLResponse:
        page = templates.get_template("hub.html.j2").render(
            picture=watcher.picture,
            links=_links(settings, request),
            documents=[(document, (site / document.folder).is_dir()) for document in DOCUMENTS],
            now=datetime.now(UTC),
        )
        return HTMLResponse(page, headers={"Refresh": str(REFRESH_SECONDS)})

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def services(_: Request) -> JSONResponse:
        states: list[dict[str, Any]] = [
            {
                "service": state.service,
                "healthy": state.healthy,
                "detail": state.detail,
                "since": state.since.isoformat(),
            }
            for state in watcher.picture.services
        ]
        return JSONResponse({"taken_at": watcher.picture.taken_at.isoformat(), "services": states})

    async def missing_document(request: Request) -> HTMLResponse:
        name = request.path_params["folder"]
        document = next((entry for entry in DOCUMENTS if entry.folder == name), None)
        page = templates.get_template("missing.html.j2").render(document=document)
        return HTMLResponse(page, status_code=404)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if observer is not None:
            yield
            return
        watching = asyncio.create_task(watcher.watch())
        yield
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching

    # check_dir=False: the documents may be made later, while the hub runs.
    documents = [
        Mount(
            f"/docs/{document.folder}",
            StaticFiles(directory=site / document.folder, html=True, check_dir=False),
        )
        for document in DOCUMENTS
    ]
    return Starlette(
        routes=[
            Route("/", front_page),
            Route("/health", health),
            Route("/services.json", services),
            Mount("/static", StaticFiles(directory=HERE / "static")),
            *[
                Route(f"/docs/{{folder:str}}{slash}", _redirecting(site, missing_document))
                for slash in ("", "/")
            ],
            *documents,
        ],
        middleware=[Middleware(_SafeHeaders)],
        lifespan=lifespan,
    )


def _redirecting(site: Path, missing: Any) -> Any:
    """A document's front page, or a page that says how to make it."""

    async def document_front(request: Request) -> Response:
        folder = site / request.path_params["folder"]
        index = folder / "index.html"
        known = any(document.folder == folder.name for document in DOCUMENTS)
        if not known or not index.is_file():
            response: Response = await missing(request)
            return response
        if not request.url.path.endswith("/"):
            return Response(status_code=307, headers={"Location": f"/docs/{folder.name}/"})
        return HTMLResponse(index.read_bytes())

    return document_front


def _links(settings: Settings, request: Request) -> list[tuple[str, str, str]]:
    """Name, address and use of each service, on the host by which the hub itself was reached."""
    if settings.hub_links:
        pairs = (item.partition("=") for item in settings.hub_links.split(",") if item.strip())
        given = {name.strip().lower(): address.strip() for name, _, address in pairs}
    else:
        given = {}
    host = request.url.hostname or "localhost"
    links = [
        ("Dagster", f"http://{host}:{settings.dagster_port}", "runs, assets, lineage"),
        ("Superset", f"http://{host}:{settings.superset_port}", "dashboards and SQL"),
    ]
    if settings.uses_s3 or "minio=" in (settings.hub_services or ""):
        links.append(("MinIO console", f"http://{host}:{CONSOLE_PORT}", "drop files into inbox/"))
    return [(name, given.get(name.lower(), address), use) for name, address, use in links]


def ago(moment: datetime | None, now: datetime) -> str:
    """``3 min ago``; a dash where there is no moment."""
    if moment is None:
        return NOTHING
    return f"{duration((now - moment).total_seconds())} ago"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def size(count: int | None) -> str:
    """Bytes for people: ``12.3 MB``."""
    value = float(count or 0)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
