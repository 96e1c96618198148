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

from hub import dictionary
from hub.observer import Observer, Picture
from hub.probes import service_addresses
from lakehouse.same_origin import SameOrigin
from lakehouse.settings import Settings

#: How often the browser asks again. A plain header does it, so no script is needed.
REFRESH_SECONDS = 30
CONSOLE_PORT = 9001
#: Shown where there is no value.
NOTHING = "\N{EN DASH}"
HERE = Path(__file__).resolve().parent


_UNFRAMED = "frame-ancestors 'none'"
_OWN_POLICY = f"default-src 'none'; style-src 'self'; img-src 'self'; {_UNFRAMED}"


@dataclass(frozen=True)
class Link:
    """A service that people open. ``down`` where its health probe fails: then it is no link."""

    name: str
    address: str
    use: str
    down: bool


@dataclass(frozen=True)
class Document:
    """One generated set of pages, in a folder below ``<home>/site``, and what it may do in a browser."""

    folder: str
    title: str
    about: str
    policy: str


#: Both are one page each with everything inside. Neither may call anybody: dbt's would load fonts and
#: count its readers.
_INSIDE = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; font-src data:"
DOCUMENTS = (
    Document(
        "data-docs", "Data Docs", "what was checked, and the results", f"{_INSIDE}; {_UNFRAMED}"
    ),
    Document(
        "dbt-docs",
        "dbt docs",
        "models, columns and lineage",
        # Its templates are compiled in the browser.
        f"{_INSIDE}; script-src 'unsafe-inline' 'unsafe-eval'; {_UNFRAMED}",
    ),
)


class _SafeHeaders(BaseHTTPMiddleware):
    """The hub itself runs no script; generated documents have their own rules."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Content-Security-Policy"] = _policy(request.url.path)
        return response


def _policy(path: str) -> str:
    for document in DOCUMENTS:
        if path.startswith(f"/docs/{document.folder}/"):
            return document.policy
    return _OWN_POLICY


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
            links=_links(settings, request, watcher.picture),
            documents=[
                (document, (site / document.folder / "index.html").is_file())
                for document in DOCUMENTS
            ],
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

    async def data_dictionary(_: Request) -> HTMLResponse:
        page = templates.get_template("dictionary.html.j2").render(dictionary=dictionary.read())
        return HTMLResponse(page)

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
            *[Route(f"/docs/dictionary{slash}", data_dictionary) for slash in ("", "/")],
            *[
                Route(f"/docs/{{folder:str}}{slash}", _redirecting(site, missing_document))
                for slash in ("", "/")
            ],
            *documents,
        ],
        middleware=[Middleware(SameOrigin, names=settings.host_names), Middleware(_SafeHeaders)],
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


def _links(settings: Settings, request: Request, picture: Picture) -> list[Link]:
    """What people open, on the host by which the hub itself was reached."""
    if settings.hub_links:
        pairs = (item.partition("=") for item in settings.hub_links.split(",") if item.strip())
        given = {name.strip().lower(): address.strip() for name, _, address in pairs}
    else:
        given = {}
    host = request.url.hostname or "localhost"
    watched = service_addresses(settings)
    links = [("Dagster", settings.dagster_port, "runs, assets, lineage", "Dagster web server")]
    if "superset" in watched:
        links.append(("Superset", settings.superset_port, "dashboards and SQL", "Superset"))
    if settings.uses_s3 or "minio" in watched:
        links.append(("MinIO console", CONSOLE_PORT, "drop files into inbox/", "Object store"))
    down = {state.service for state in picture.down}
    return [
        Link(name, given.get(name.lower(), f"http://{host}:{port}"), use, service in down)
        for name, port, use, service in links
    ]


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
