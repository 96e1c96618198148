"""``python -m hub``: serve the hub on HUB_HOST and HUB_PORT."""

from __future__ import annotations

import uvicorn

from hub.app import create_app
from installation import embedded
from lakehouse.privacy import log_at
from lakehouse.settings import load_settings


def main() -> None:
    settings = embedded.ensure_running(load_settings())
    log_at(settings.log_level)
    uvicorn.run(
        create_app(settings),
        host=settings.hub_host,
        port=settings.hub_port,
        log_level="debug" if settings.log_level == "DEBUG" else "warning",
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
