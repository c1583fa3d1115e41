"""JSON Schema to parameters and back: what functions, MCP servers and smolagents tools say of their arguments."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping
from typing import Any, Literal

from sport.types import Json, Parameter, ToolSpec

Kind = Literal["string", "integer", "number", "boolean", "array", "object", "file", "any"]
PLAIN: Mapping[str, Kind] = {
    "string": "string", "integer": "integer", "number": "number", "boolean": "boolean", "array": "array",
    "object": "object",
}  # fmt: skip
ENCODED = ("binary", "byte", "base64")  # formats and encodings of a string that stands for bytes
BOUNDS = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "above", "exclusiveMaximum": "below"}
LONGEST = 300  # characters of a schema that a description may end with


def parameter(
    name: str, schema: Mapping[str, Any], *, required: bool, default: Json = None, description: str = ""
) -> Parameter:
    """One parameter. What a plain type cannot say (choices, elements, bounds) is told at the end of its description."""
    kind = kind_of(schema)
    words = description or str(schema.get("description", ""))
    more = _detail(schema, kind)
    told = f"{words.rstrip('.')} ({more})" if words and more else words or more
    return Parameter(name=name, type=kind, description=told, required=required, default=None if required else default)


def kind_of(schema: Mapping[str, Any]) -> Kind:
    """The plain type that a schema comes down to: "any" where it allows several, "file" for encoded bytes."""
    kinds = {kind_of(one) for key in ("anyOf", "oneOf") for one in schema.get(key, ()) if one.get("type") != "null"}
    if kinds:
        return "number" if kinds == {"integer", "number"} else kinds.pop() if len(kinds) == 1 else "any"
    said = schema.get("type")
    if isinstance(said, list):
        said = next(iter(set(said) - {"null"})) if len(set(said) - {"null"}) == 1 else None
    if "$ref" in schema or "allOf" in schema:
        return "any"
    if said == "string" and (schema.get("format") in ENCODED or schema.get("contentEncoding") in ENCODED):
        return "file"
    return PLAIN.get(str(said), "any")


def json_schema(spec: ToolSpec) -> dict[str, Json]:
    """A tool as the OpenAI protocol has it: name, description and parameters. A file is a name, so a string."""
    properties: dict[str, Json] = {}
    for one in spec.parameters:
        kind: dict[str, Json] = {} if one.type == "any" else {"type": "string" if one.type == "file" else one.type}
        words = f"name of a file; {one.description}".rstrip("; ") if one.type == "file" else one.description
        properties[one.name] = {
            **kind,
            **({"description": words} if words else {}),
            **({} if one.required or one.default is None else {"default": one.default}),
        }
    needed = [one.name for one in spec.parameters if one.required]
    inside = {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}
    function: dict[str, Json] = {"name": spec.name, "description": spec.description, "parameters": inside}
    return {"type": "function", "function": function}


def python_name(name: str) -> str:
    """A name that code can write: ``read-file`` becomes ``read_file``."""
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)
    plain = f"_{plain}" if not plain or plain[0].isdigit() else plain
    return f"{plain}_" if keyword.iskeyword(plain) else plain


def _detail(schema: Mapping[str, Any], kind: Kind) -> str:
    if isinstance(choices := schema.get("enum"), list):
        return "one of " + ", ".join(map(repr, choices))
    if kind == "file":
        return ""
    told = {key: value for key, value in schema.items() if key not in ("title", "description", "default", "type")}
    told = {key: value for key, value in told.items() if not (key == "anyOf" and kind != "any")}
    if kind == "array" and set(told) == {"items"} and set(told["items"]) <= {"type", "title"}:
        element = told["items"].get("type")
        return f"a list of {element}" if element else ""
    if kind == "object" and set(told) <= {"additionalProperties"}:
        return ""
    if told and set(told) <= set(BOUNDS):
        return " and ".join(f"{words} {told[key]}" for key, words in BOUNDS.items() if key in told)
    text = json.dumps(told, separators=(",", ":"), default=str) if told else ""
    return text if len(text) <= LONGEST else ""
