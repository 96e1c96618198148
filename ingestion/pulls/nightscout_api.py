"""Nightscout's REST API, versions 3 and 1, as one site answers it.

https://github.com/nightscout/cgm-remote-monitor: lib/api3/doc/tutorial.md, lib/api3/doc/security.md, swagger.yaml.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from lakehouse.errors import PullError

Document = dict[str, Any]

_ATTEMPTS: Final = 5
_LONGEST_WAIT_S: Final = 120.0
_TRY_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
#: Access tokens are a name and sixteen hexadecimal digits; anything else is the site's API_SECRET.
_ACCESS_TOKEN: Final = re.compile(r"[\w.-]+-[0-9a-f]{16}")
_COUNT: Final = 10_000
#: How treatments may write a date that means another day in UTC.
_OFFSETS: Final = timedelta(hours=14)


class Site:
    """One site. ``has_v3`` says whether it answers API v3 with this secret."""

    def __init__(
        self,
        name: str,
        url: str,
        secret: str | None,
        *,
        timeout_s: float = 30,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._sleep = sleep
        self._client = httpx.Client(
            base_url=url.rstrip("/"), timeout=timeout_s, follow_redirects=False
        )
        self.has_v3 = self._sign_in(secret)

    def close(self) -> None:
        self._client.close()

    def history(self, collection: str, after_ms: int) -> Iterator[Document]:
        """What was written or deleted through API v3 after a server's time, in the order of ``srvModified``.

        Pages overlap by one millisecond: what shares the last one may be cut by a page's end.
        """
        seen: set[tuple[str, int]] = set()
        while True:
            answer = self._get(f"/api/v3/{collection}/history/{after_ms}")
            page: list[Document] = answer["result"] if isinstance(answer, dict) else answer
            new = [one for one in page if _version(one) not in seen]
            if not new:
                return
            yield from new
            seen = {_version(one) for one in page}
            latest = max(int(one.get("srvModified") or 0) for one in page)
            all_of_one = all(one.get("srvModified") == latest for one in page)
            after_ms = max(after_ms, latest if all_of_one else latest - 1)

    def entries(self, since: datetime, until: datetime) -> Iterator[Document]:
        """Entries dated in the window, by API v1, which has what other programs wrote and v3 deleted."""

        def asked(start: datetime, end: datetime) -> dict[str, str | int]:
            return {"find[date][$gte]": _ms(start), "find[date][$lt]": _ms(end)}

        yield from self._in_windows("entries", since, until, asked)

    def treatments(self, since: datetime, until: datetime) -> Iterator[Document]:
        """Treatments dated in the window, by API v1. Their dates are texts, compared as such there."""

        def asked(start: datetime, end: datetime) -> dict[str, str | int]:
            return {
                "find[created_at][$gte]": (start - _OFFSETS).isoformat(),
                "find[created_at][$lt]": (end + _OFFSETS).isoformat(),
            }

        yield from self._in_windows("treatments", since, until, asked)

    def _in_windows(
        self,
        collection: str,
        since: datetime,
        until: datetime,
        asked: Callable[[datetime, datetime], dict[str, str | int]],
    ) -> Iterator[Document]:
        seen: set[str] = set()
        windows = list(_weeks(since, until))
        while windows:
            start, end = windows.pop(0)
            page = self._get(f"/api/v1/{collection}.json", {**asked(start, end), "count": _COUNT})
            if len(page) >= _COUNT and end - start > timedelta(minutes=1):
                half = start + (end - start) / 2
                windows[:0] = [(start, half), (half, end)]
                continue
            for one in page:
                if (key := key_of(one)) is not None and key not in seen:
                    seen.add(key)
                    yield one

    def _sign_in(self, secret: str | None) -> bool:
        """Ask for a session by an access token; an API_SECRET goes along as its hash, to API v1."""
        if secret is not None and _ACCESS_TOKEN.fullmatch(secret):
            answer = self._get(f"/api/v2/authorization/request/{secret}")
            self._client.headers["Authorization"] = f"Bearer {answer['token']}"
        elif secret is not None:
            self._client.headers["api-secret"] = hashlib.sha1(secret.encode()).hexdigest()  # noqa: S324 - their protocol
        response = self._answer("/api/v3/entries", {"limit": 1})
        if response.status_code in (401, 403, 404):
            return False
        _check(response, self.name)
        return True

    def _get(self, path: str, params: dict[str, str | int] | None = None) -> Any:
        response = self._answer(path, params)
        _check(response, self.name)
        try:
            return response.json()
        except ValueError:
            raise PullError(
                f"Nightscout site {self.name} answered something that is no JSON.",
                hint="Check its url: it may be a page for signing in.",
            ) from None

    def _answer(self, path: str, params: dict[str, str | int] | None = None) -> httpx.Response:
        """The site's answer; what fails for the moment is asked again, when the site says so or later and later."""
        wait = 1.0
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                response = self._client.get(path, params=params)
            except httpx.TransportError as error:
                if attempt == _ATTEMPTS:
                    raise PullError(
                        f"Nightscout site {self.name} did not answer ({type(error).__name__}).",
                        hint="The next pull goes on where the last one ended.",
                    ) from None
            else:
                if response.status_code not in _TRY_AGAIN or attempt == _ATTEMPTS:
                    return response
                wait = max(wait, _retry_after(response))
            self._sleep(min(wait, _LONGEST_WAIT_S))
            wait *= 2
        raise AssertionError("the last attempt returns or raises")


def key_of(document: Document) -> str | None:
    """What names a document in both versions of the API."""
    for name in ("identifier", "_id"):
        if isinstance(document.get(name), str):
            return str(document[name])
    return None


def _version(document: Document) -> tuple[str, int]:
    return key_of(document) or "", int(document.get("srvModified") or 0)


def _check(response: httpx.Response, name: str) -> None:
    if response.is_success:
        return
    if response.status_code in (401, 403):
        raise PullError(
            f"Nightscout site {name} refused the secret (HTTP {response.status_code}).",
            hint="Set NIGHTSCOUT_TOKEN, or the site's token_file, to an access token with the role `readable`.",
        )
    raise PullError(
        f"Nightscout site {name} answered HTTP {response.status_code}.",
        hint="The next pull goes on where the last one ended.",
    )


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the site asks to wait (RFC 9110, 10.2.3), 0 where it does not."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        seconds: float = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except ValueError:
        return 0.0
    return max(0.0, seconds)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _weeks(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    while since < until:
        end = min(since + timedelta(days=7), until)
        yield since, end
        since = end
