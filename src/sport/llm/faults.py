"""What went wrong with a call, and what follows: another try, the end of the run, or the end of one conversation.

The client library says too little by itself: it calls an exhausted quota a rate limit, gives back a page as a string
and an error inside a 200 as a completion without choices. So replies are read here, and errors classed.
"""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from typing import Any, TypeVar

import openai
from pydantic import ValidationError

from sport.config import Endpoint
from sport.errors import ContentError, FatalModelError, ModelError, TransientModelError, UnknownModelError
from sport.llm.chat import Priced

R = TypeVar("R", bound=Priced)

FEWER = "fewer texts than asked for"
"""A cause, see :func:`cause`, of a call that was answered all the same."""

_LONGEST = 300  # characters of a server's own words in a message
_OVER_QUOTA = re.compile(r"insufficient_quota|exceeded your current quota|billing|credit balance|payment", re.I)
_TOO_LONG = re.compile(
    r"context.?(length|window|size)|maximum context|too long|too many (input )?tokens|longer than the m", re.I
)
_FILTERED = re.compile(r"content.?(filter|policy|management)|safety system", re.I)
_ONE_ONLY = re.compile(r"(^|[^a-z])['\"`]?n['\"`]?\s*(must|should|has to|=|>|is not|parameter|greater|only)", re.I)
_PASSING = (408, 409, 425, 429)


class Again(Exception):
    """Worth another try: ``after`` seconds if the server said so. ``error`` is what remains when tries run out."""

    def __init__(self, error: ModelError, *, after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.after = after


class OneAtATime(Exception):
    """The server refuses n > 1."""


class Faults:
    """Reads replies and classes errors of one endpoint; no message of its ever holds the key."""

    def __init__(self, where: str, settings: Endpoint, key: str) -> None:
        self._where = where
        self._settings = settings
        self._key = key

    def read(self, text: str, url: str, shape: type[R]) -> R:
        """A reply's body with status 200, as ``shape`` has it.

        Raises:
            Again: cut off, a page, or not of that shape.
            ModelError: an error inside, as :meth:`of_status` has it.
        """
        try:
            return shape.model_validate_json(text)
        except ValidationError as error:
            raise self._unread(text, url, error) from None

    def of(self, error: Exception, url: str) -> Exception:
        """What an exception of the client means: Again, OneAtATime or a ModelError, to be raised."""
        if isinstance(error, openai.APIStatusError):
            after = _after(error.response.headers)
            return self.of_status(error.status_code, error.body, error.message, url, after)
        if isinstance(error, openai.APITimeoutError | TimeoutError):
            return Again(TransientModelError(self._say(f"no answer within {self._settings.timeout_s:g} s", url)))
        cause = error.__cause__ or error
        text = f"{type(cause).__name__}: {cause}".removesuffix(": ")
        if type(cause).__name__ == "ConnectError":
            return Again(
                FatalModelError(self._say(f"nobody answers ({text}); start the server or mend base_urls", url))
            )
        return Again(TransientModelError(self._say(f"the connection broke ({text})", url)))

    def of_status(self, status: int, body: object, words: str, url: str, after: float | None = None) -> Exception:
        """What a status other than 200 means, be it in the header or inside a body."""
        detail = body.get("error", body) if isinstance(body, Mapping) else body
        known = detail if isinstance(detail, Mapping) else {}
        text = f"{known.get('message') or detail or words} {known.get('code') or ''} {known.get('type') or ''}".strip()
        said = self._say(f"{status}: {text}", url)
        if status == 402 or (status in (403, 429) and _OVER_QUOTA.search(text)):
            return FatalModelError(f"{said}; the account behind the key has nothing left")
        if status in _PASSING or (status >= 500 and status != 501):
            return Again(TransientModelError(said), after=after)
        if status in (401, 403):
            return FatalModelError(f"{said}; {self._about_the_key()}")
        if status == 404:
            return UnknownModelError(f"{said}; is there a model {self._settings.model!r}, and does the URL end in /v1?")
        if status in (400, 413, 422):
            if known.get("code") == "context_length_exceeded" or _TOO_LONG.search(text):
                return ContentError(f"{said}; the conversation is longer than the model's context")
            if _FILTERED.search(text):
                return ContentError(said)
            if known.get("param") == "n" or _ONE_ONLY.search(text):
                return OneAtATime(said)
        return FatalModelError(f"{said}; leave_out names parameters that a server does not take")

    def _unread(self, text: str, url: str, error: ValidationError) -> Exception:
        try:
            data: Any = json.loads(text)
        except ValueError:
            if text.lstrip()[:1] == "<":
                return Again(FatalModelError(self._say("a page came instead of JSON; does the URL end in /v1?", url)))
            return Again(TransientModelError(self._say("the reply is not JSON, or was cut off", url)))
        inner = data.get("error") if isinstance(data, dict) else None
        if inner:
            code = inner.get("code") if isinstance(inner, dict) else None
            return self.of_status(code if isinstance(code, int) else 500, data, "", url)
        first = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return Again(ContentError(self._say(f"the reply is not what was asked for: {place}: {first['msg']}", url)))

    def _about_the_key(self) -> str:
        name = self._settings.key_env
        if name is None:
            return f"no key was sent: {self._where}.key_env names the environment variable that holds one"
        return f"the key in the environment variable {name} is not accepted"

    def _say(self, text: str, url: str) -> str:
        """One line, of bearable length, without the key."""
        if self._key:
            text = text.replace(self._key, "[key]")
        text = " ".join(text.split())
        return f"{self._where}: {url}: {text if len(text) <= _LONGEST else text[:_LONGEST] + '...'}"


def cause(error: Exception) -> str:
    """A few words for what went wrong with a try, without an address: to be counted."""
    if isinstance(error, openai.APIStatusError):
        return f"status {error.status_code}"
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return "no answer in time"
    if isinstance(error, Again | ModelError):
        return "reply cut off, or no chat completion"
    return "nobody answered" if type(error.__cause__).__name__ == "ConnectError" else "connection broke"


def _after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: a number, or a date; None where it does not say or cannot be read."""
    text = headers.get("retry-after")
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass  # a date, as the standard also allows
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
