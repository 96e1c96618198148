"""Superset's configuration. What differs between installations comes from the environment.

Every secret ``X`` may instead be a file named by ``X_FILE``; nothing secret is in the image, in the
asset bundle or in Superset's own database.
"""

import os
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL
from sqlalchemy.engine.url import make_url

_PLACEHOLDERS = {"changeme", "change-me", "replace-me", "<secret>", "password", "todo"}


def _setting(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, "")
    path = os.environ.get(f"{name}_FILE", "")
    if not value and path:
        value = Path(path).read_text(encoding="utf-8").strip()
    if not value and default is not None:
        return default
    if not value or value.lower() in _PLACEHOLDERS:
        raise RuntimeError(f"{name} is missing or still a placeholder. Set {name} or {name}_FILE.")
    return value


def _with_password(url: str, password_name: str) -> URL:
    """``url`` with psycopg2 as its driver and the password from the environment, where there is one."""
    password = _setting(password_name, "")
    parts = make_url(url).set(drivername="postgresql+psycopg2")
    return parts.set(password=password) if password else parts


SECRET_KEY = _setting("SUPERSET_SECRET_KEY")
SQLALCHEMY_DATABASE_URI = _with_password(
    _setting("SUPERSET_DATABASE_URL"), "SUPERSET_DATABASE_PASSWORD"
).render_as_string(hide_password=False)

# --- the databases that dashboards read -----------------------------------------------------------
# The bundle names them without address and password. Both are put in at connect time, so that the
# same bundle serves every installation: BI_READER_URL has no database in it.
_BI_ROLE = "bi_reader"
_BI_URL = _with_password(_setting("BI_READER_URL"), "BI_READER_PASSWORD")
_DATABASE_PREFIX = os.environ.get("DATABASE_PREFIX", "")


def bi_address(database: str) -> str:
    """The read-only role's address of a database of the platform, for psycopg2."""
    url = _BI_URL.set(drivername="postgresql", database=_DATABASE_PREFIX + database)
    return url.render_as_string(hide_password=False)


def _bi_password(url: URL) -> str | None:
    return _BI_URL.password if url.username == _BI_ROLE else None


def _bi_address(
    uri: URL, params: dict[str, Any], _username: str, _security_manager: object, _source: object
) -> tuple[URL, dict[str, Any]]:
    if uri.username == _BI_ROLE:
        uri = _BI_URL.set(database=_DATABASE_PREFIX + (uri.database or ""))
        params.setdefault("connect_args", {}).setdefault("application_name", "superset")
    return uri, params


SQLALCHEMY_CUSTOM_PASSWORD_STORE = _bi_password
DB_CONNECTION_MUTATOR = _bi_address

# --- caches: small files and Superset's own database; no Redis ------------------------------------
_CACHE = os.environ.get("SUPERSET_CACHE_DIR") or str(Path(tempfile.gettempdir()) / "superset-cache")


def _metastore_cache(prefix: str, lifetime: timedelta) -> dict[str, object]:
    return {
        "CACHE_TYPE": "SupersetMetastoreCache",
        "CACHE_KEY_PREFIX": prefix,
        "CACHE_DEFAULT_TIMEOUT": int(lifetime.total_seconds()),
    }


CACHE_CONFIG = {"CACHE_TYPE": "SimpleCache", "CACHE_DEFAULT_TIMEOUT": 300, "CACHE_THRESHOLD": 500}
# A new publish has to show soon: chart data is kept for half a minute, long enough for a page load.
DATA_CACHE_CONFIG = {
    "CACHE_TYPE": "FileSystemCache",
    "CACHE_DIR": _CACHE,
    "CACHE_DEFAULT_TIMEOUT": 30,
    "CACHE_THRESHOLD": 1000,
}
FILTER_STATE_CACHE_CONFIG = _metastore_cache("filter_", timedelta(days=90))
EXPLORE_FORM_DATA_CACHE_CONFIG = _metastore_cache("explore_", timedelta(days=7))
RATELIMIT_STORAGE_URI = "memory://"
CELERY_CONFIG = None

# --- limits ---------------------------------------------------------------------------------------
ROW_LIMIT = 10_000
SQL_MAX_ROW = 50_000
SQLLAB_TIMEOUT = 60
SUPERSET_WEBSERVER_TIMEOUT = 90
SUPERSET_WEBSERVER_PORT = int(os.environ.get("SUPERSET_PORT", "8088"))
PREVENT_UNSAFE_DB_CONNECTIONS = True
FEATURE_FLAGS = {
    "RLS_IN_SQLLAB": True,
    "DASHBOARD_RBAC": False,
    "ENABLE_TEMPLATE_PROCESSING": False,
    "ALERT_REPORTS": False,
    "ALLOW_ADHOC_SUBQUERY": False,
}

# --- the browser's side ---------------------------------------------------------------------------
APP_NAME = "Health lakehouse"
ENABLE_PROXY_FIX = os.environ.get("SUPERSET_BEHIND_PROXY", "") == "1"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = os.environ.get("SUPERSET_COOKIE_SECURE", "") == "1"
PERMANENT_SESSION_LIFETIME = timedelta(hours=12)
PUBLIC_ROLE_LIKE = None
AUTH_RATE_LIMITED = True
AUTH_RATE_LIMIT = os.environ.get("SUPERSET_LOGIN_RATE_LIMIT", "10 per 20 second")
FAB_ADD_SECURITY_API = True
FAB_ADD_SECURITY_VIEWS = True
ENABLE_CORS = False
# Nothing is fetched from outside this host: no usage pixel, map tiles or web fonts.
TALISMAN_ENABLED = True
TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "font-src": ["'self'", "data:"],
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,  # TLS ends at the proxy
    "session_cookie_secure": SESSION_COOKIE_SECURE,
}
