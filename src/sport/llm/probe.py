"""Asks the servers of an endpoint what models they have, and for one token. For ``sport doctor``."""

from __future__ import annotations

import difflib
import time
from collections.abc import Mapping
from typing import NamedTuple

import openai

from sport.config import Endpoint
from sport.errors import FatalModelError, ModelError
from sport.llm.chat import Reply
from sport.llm.faults import Again, Faults, OneAtATime
from sport.llm.servers import check, client, key

LIMIT_S = 60.0  # a model that is loaded on the first call may take its time


class Found(NamedTuple):
    """What one server said: good news in ``text``, or a problem. ``models`` is None where it does not list them."""

    url: str
    models: tuple[str, ...] | None
    problem: str | None
    text: str


async def ask(settings: Endpoint, where: str, environment: Mapping[str, str], *, talks: bool = True) -> list[Found]:
    """One finding a server, in the order of ``base_urls``. Each is asked for one token, which may cost a little.

    One that does not talk - it paints, or makes vectors - is asked for its list of models alone.

    Raises:
        ConfigError: the settings are wrong or the key is not in the environment.
    """
    check(settings, where)
    secret = key(settings, where, environment)
    faults = Faults(where, settings, secret)
    return [await _server(settings, url.rstrip("/"), secret, faults, talks) for url in settings.base_urls]


async def _server(settings: Endpoint, url: str, secret: str, faults: Faults, talks: bool) -> Found:
    limit_s = min(LIMIT_S, settings.deadline_s)
    async with client(url, secret, limit_s) as server:
        models, problem = await _models(server, faults, url)
    if problem is not None:
        return Found(url, None, problem, "")
    listed = "no list of models" if models is None else f"{len(models)} models"
    if not talks:
        return Found(url, models, None, f"it answers, {listed}; nothing was asked of {settings.model}")
    async with client(url, secret, limit_s) as server:  # anew: a server that stumbled over its list may hang up
        began = time.monotonic()
        try:
            raw = await server.chat.completions.with_raw_response.create(
                model=settings.model,
                messages=[{"role": "user", "content": "Say yes."}],
                extra_body={settings.limit_name: 1},
            )
            reply = faults.read(raw.text, url, Reply)
        except (openai.OpenAIError, OSError) as error:
            return Found(url, models, _words(faults.of(error, url)) + _near(settings.model, models), "")
        except (Again, OneAtATime, ModelError) as error:
            return Found(url, models, _words(error), "")
        took = time.monotonic() - began
    usage = "" if reply.usage else ", reports no usage: budgets cannot be kept"
    return Found(url, models, None, f"{reply.model or settings.model}, {listed}, one token in {took:.2f} s{usage}")


async def _models(server: openai.AsyncOpenAI, faults: Faults, url: str) -> tuple[tuple[str, ...] | None, str | None]:
    """The models that a server lists (None: it keeps no list), or a problem that makes further questions useless."""
    try:
        page = await server.models.list()
        return tuple(model.id for model in page.data), None
    except openai.APIStatusError as error:
        if error.status_code in (401, 403):
            return None, _words(faults.of(error, url))
        return None, None
    except openai.APIConnectionError as error:
        fault = faults.of(error, url)
        nobody = isinstance(fault, Again) and isinstance(fault.error, FatalModelError)
        return None, _words(fault) if nobody else None  # a list that breaks off says nothing of the model
    except (AttributeError, TypeError, ValueError, openai.OpenAIError):
        return None, None  # a page or something else that is no list; the token will tell


def _near(model: str, models: tuple[str, ...] | None) -> str:
    if not models or model in models:
        return ""
    near = difflib.get_close_matches(model, models, n=3, cutoff=0.3) or list(models[:3])
    return f"; this server lists {', '.join(near)}"


def _words(error: Exception) -> str:
    return str(error.error if isinstance(error, Again) else error)
