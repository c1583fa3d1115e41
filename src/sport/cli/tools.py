"""The command ``sport tools``: which tools there are, what they take, where they come from, and what they lack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from sport.cli.console import PLAIN, WRAP, stdout

Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="a.b=c", help="Change one setting.")]


def add(app: typer.Typer) -> None:
    """Put the command in."""
    app.command("tools")(tools)


def tools(
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="default: the tools of the demo")] = None,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list with whole schemas.")] = False,
) -> None:
    """List the tools of CONFIG and the other built-in ones; exit code 1 when one of CONFIG's is not ready."""
    from sport import hosting
    from sport.config import load

    found = hosting.survey(load(config, overrides or ()).tools)
    out = stdout()
    if as_json:
        out.print(json.dumps([_plain(one) for one in found], indent=2), **PLAIN)
    else:
        out.print(_table("tools of this configuration", [one for one in found if one.chosen]))
        out.print(_table("built in, not chosen", [one for one in found if not one.chosen]))
        for one in found:
            if one.why:
                words = f"[bold]{escape(one.name)}[/]: {escape(one.why)}"
                out.print(words, **WRAP)
    if any(one.chosen and one.state != "ready" for one in found):
        raise typer.Exit(1)


def _table(title: str, found: list[Any]) -> Table:
    from sport.tools.arguments import usage

    table = Table("tool", "state", "from", "weights", title=title)
    colours = {"ready": "green", "wrong": "red"}
    for one in found:
        call = usage(one.spec) if one.spec else one.name
        state = f"[{colours.get(one.state, 'yellow')}]{one.state}[/]"
        weights = f"{one.weights} ({one.licence})" if one.weights else ""
        table.add_row(escape(call), state, escape(one.origin), escape(weights))
    return table


def _plain(one: Any) -> dict[str, Any]:
    from sport.tools.schema import json_schema

    return {
        "name": one.name,
        "chosen": one.chosen,
        "origin": one.origin,
        "state": one.state,
        "why": one.why,
        "weights": one.weights,
        "licence": one.licence,
        "schema": json_schema(one.spec) if one.spec else None,
        "returns": one.spec.returns if one.spec else None,
        "version": one.spec.version if one.spec else None,
    }
