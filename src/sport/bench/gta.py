"""GTA's data set (arXiv 2407.08713): ``dataset.json`` and its images. Never a seed, and never trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, JsonValue, ValidationError

from sport.bench.moves import Move
from sport.errors import InputError
from sport.types import Json, Parameter, ToolSpec

TASKS = 229
_TYPES: Mapping[str, Literal["file", "string", "integer", "number", "boolean"]] = {
    "image": "file", "text": "string", "int": "integer", "float": "number", "bool": "boolean",
}  # fmt: skip


@dataclass(frozen=True)
class Turn:
    """An assistant's turn of the reference, with the thought before it and what the tool then said (None: no tool)."""

    move: Move
    thought: str
    result: str | None = None


@dataclass(frozen=True)
class Item:
    """One task. ``files`` are paths below the data set's folder; ``reference`` is ``gt_answer`` as it stands there."""

    id: str
    query: str
    files: tuple[str, ...]
    turns: tuple[Turn, ...]
    tools: tuple[ToolSpec, ...]
    reference: Json

    @property
    def calls(self) -> tuple[Move, ...]:
        """The tool calls of the reference, in order."""
        return tuple(turn.move for turn in self.turns if turn.move.kind == "tool")


def load(path: Path) -> list[Item]:
    """The tasks of ``dataset.json``, or of a folder that holds one, in the file's order.

    Raises:
        InputError: no such file, not JSON, or not of the layout that release v0.1.0 has; the message names the task.
    """
    file = _file(path)
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{file}: cannot be read as JSON ({error}); expected GTA's dataset.json") from error
    if not isinstance(data, dict) or not data:
        raise InputError(f"{file}: expected one JSON object of tasks by number, as GTA's release v0.1.0 has it")
    items = []
    for name, raw in data.items():
        try:
            items.append(_item(name, _Task.model_validate(raw)))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise InputError(
                f"{file}: task {name}: {place or 'the task'}: {first['msg']}; expected the layout of GTA's release "
                "v0.1.0 (tools, files, dialogs, gt_answer); another version cannot be read"
            ) from error
    return items


def check_images(items: Sequence[Item], path: Path) -> None:
    """Raises InputError when pictures are missing: how many, and which."""
    folder = _file(path).parent
    wanted = sorted({name for item in items for name in item.files})
    missing = [name for name in wanted if not (folder / name).is_file()]
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise InputError(
            f"{folder}: {len(missing)} of {len(wanted)} images are missing: {shown}; put GTA's image folder beside "
            "dataset.json, or give --without-images to replay the reference's tool results (not comparable)"
        )


def picture(path: Path, name: str) -> bytes:
    """A picture's bytes. ``path`` as for :func:`load`. Raises InputError when it cannot be read."""
    file = _file(path).parent / name
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error


def all_tools(items: Sequence[Item]) -> tuple[ToolSpec, ...]:
    """Every tool that a task offers, once; of two wordings the one with more parameters."""
    found: dict[str, ToolSpec] = {}
    for tool in (tool for item in items for tool in item.tools):
        if tool.name not in found or len(tool.parameters) > len(found[tool.name].parameters):
            found[tool.name] = tool
    return tuple(found.values())


# ------------------------------------------------------------------------------------------- the layout


class _Function(BaseModel):
    name: str
    arguments: dict[str, JsonValue]


class _Call(BaseModel):
    function: _Function


class _Said(BaseModel):
    type: str = "text"
    content: JsonValue


class _Turn(BaseModel):
    role: Literal["user", "assistant", "tool"]
    content: _Said | str | None = None
    thought: str | None = None
    tool_calls: list[_Call] = Field(default_factory=list)


class _Input(BaseModel):
    name: str
    type: str
    description: str | None = None
    optional: bool = False
    default: Any = None


class _Tool(BaseModel):
    name: str
    description: str
    inputs: list[_Input]
    outputs: list[dict[str, JsonValue]]


def _inside(path: str) -> str:
    if not path or path.startswith("/") or ".." in path.split("/") or "\\" in path:
        raise ValueError("leads out of the data set's folder")
    return path


class _File(BaseModel):
    path: Annotated[str, AfterValidator(_inside)]


class _Objective(BaseModel):
    whitelist: list[list[str]] = Field(min_length=1)
    blacklist: list[list[str]] | None = None


class _Task(BaseModel):
    tools: list[_Tool]
    files: list[_File]
    dialogs: list[_Turn] = Field(min_length=2)
    gt_answer: _Objective | list[str] | None


def _file(path: Path) -> Path:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give --data the folder that holds GTA's dataset.json")
    return path / "dataset.json" if path.is_dir() else path


def _item(name: str, task: _Task) -> Item:
    said = [turn.content for turn in task.dialogs if turn.role == "user" and isinstance(turn.content, str)]
    reference = task.gt_answer.model_dump() if isinstance(task.gt_answer, _Objective) else task.gt_answer
    return Item(
        id=f"gta-{name}",
        query="\n".join(said),
        files=tuple(file.path for file in task.files),
        turns=tuple(_turns(task.dialogs)),
        tools=tuple(_spec(tool) for tool in task.tools),
        reference=reference,
    )


def _turns(dialogs: Sequence[_Turn]) -> list[Turn]:
    """Assistant turns; one with both a call and words is a call, as GTA's evaluator has it."""
    turns = []
    for place, turn in enumerate(dialogs):
        if turn.role != "assistant":
            continue
        words = turn.content if isinstance(turn.content, str) else ""
        if turn.tool_calls:
            called = turn.tool_calls[0].function
            after = dialogs[place + 1] if place + 1 < len(dialogs) else None
            said = after.content if after is not None and after.role == "tool" else None
            result = said.content if isinstance(said, _Said) else said
            move = Move(kind="tool", name=called.name, arguments=called.arguments)
            turns.append(Turn(move, turn.thought or words, None if result is None else str(result)))
        else:
            turns.append(Turn(Move(kind="answer", text=words), turn.thought or ""))
    return turns


def _spec(tool: _Tool) -> ToolSpec:
    made = tuple(
        Parameter(
            name=one.name,
            type=_TYPES.get(one.type, "any"),
            description=one.description or "",
            required=not one.optional,
            default=one.default,
        )
        for one in tool.inputs
    )
    returns = ", ".join(str(out.get("description") or out.get("type") or "") for out in tool.outputs)
    return ToolSpec(name=tool.name, description=tool.description, parameters=made, returns=returns, version="gta")
