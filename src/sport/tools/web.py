"""Requests of web tools: public addresses, five redirects, a cap on size and time, and a recording in between."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import httpx2

from sport.config import Web
from sport.errors import ToolError
from sport.tools.addresses import PublicTransport
from sport.tools.recording import Answer, Recording
from sport.types import Json

REDIRECTS = 5
AGENT = "Mozilla/5.0 (compatible; sport/1; research agent)"


class Unreached(Exception):
    """No answer for now. Not a ToolError: the next equal call tries again."""


class Client:
    """What web tools ask with. ``settings`` is the section ``[tools.web]`` as JSON.

    Not covered: cookies that last, scripts in pages, robots.txt, proxies.
    """

    def __init__(self, settings: Mapping[str, Json]) -> None:
        self.settings = Web.model_validate(settings)
        folder = Path(self.settings.record) if self.settings.record else None
        self.recording = Recording(self.settings.mode, folder)

    def get(self, url: str, params: Mapping[str, str] | None = None) -> Answer:
        """A page that somebody else named. Raises as :meth:`request`."""
        return self.request("GET", url, params=params)

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Json = None,
        headers: Mapping[str, str] | None = None,
        secret: Mapping[str, str] | None = None,
        trusted: bool = False,
    ) -> Answer:
        """One request. ``headers`` and ``secret`` (further parameters) are not part of the recording.

        ``trusted`` is a server of the configuration, which may have a private address and must not redirect.

        Raises:
            ToolError: no http(s) URL, an address that is not public, a page that is not there or too large, too many
                redirects, or nothing in the recording.
            Unreached: no answer in time, or one that says to come again.
        """
        asked: dict[str, Json] = {"method": method, "url": url, "params": dict(params or {}), "body": body}
        public = not (trusted or self.settings.allow_private)

        def live() -> Answer:
            transport = PublicTransport() if public else httpx2.HTTPTransport(trust_env=False)
            with httpx2.Client(
                transport=transport,
                follow_redirects=not trusted,
                max_redirects=REDIRECTS,
                timeout=self.settings.timeout_s,
                headers={"User-Agent": AGENT, **(headers or {})},
                trust_env=False,
            ) as client:
                return self._send(client, method, url, {**(params or {}), **(secret or {})}, body)

        return self.recording.get(asked, live)

    def _send(self, client: httpx2.Client, method: str, url: str, params: Mapping[str, str], body: Json) -> Answer:
        until = time.monotonic() + self.settings.timeout_s
        try:
            with client.stream(method, url, params=params or None, json=body) as reply:
                _check_status(reply.status_code, url)
                data = self._body(reply, until)
                media_type = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
                return Answer(
                    str(reply.url.copy_with(query=None)) if params else str(reply.url),
                    reply.status_code,
                    media_type,
                    data,
                )
        except httpx2.TooManyRedirects as error:
            raise ToolError(f"{url} leads on more than {REDIRECTS} times") from error
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise ToolError(f"{url!r} is no http(s) URL ({error})") from error
        except httpx2.TimeoutException as error:
            raise Unreached(f"{url}: no answer within {self.settings.timeout_s:g} s") from error
        except httpx2.HTTPError as error:
            raise Unreached(f"{url}: {error or type(error).__name__}") from error

    def _body(self, reply: httpx2.Response, until: float) -> bytes:
        most, data = self.settings.max_mb << 20, bytearray()
        for chunk in reply.iter_bytes():
            data += chunk
            if len(data) > most:
                raise ToolError(f"{reply.url} is larger than {self.settings.max_mb} MiB")
            if time.monotonic() > until:
                raise Unreached(f"{reply.url}: not whole within {self.settings.timeout_s:g} s")
        return bytes(data)


def _check_status(status: int, url: str) -> None:
    if status in (408, 425, 429) or status >= 500:
        raise Unreached(f"{url}: the server says {status}")
    if status >= 300:
        raise ToolError(f"{url}: the server says {status}")
