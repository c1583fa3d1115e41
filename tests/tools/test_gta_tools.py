"""GTA's fourteen tools: names and schemas as in its data set, real work without weights, engines by name."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sport.bench import gta
from sport.bench.boxes import Boxes
from sport.config import Config, SandboxSection, Tools
from sport.errors import ConfigError, ToolError
from sport.sandbox.forked import ForkedSandbox
from sport.store import Store
from sport.tools.base import Answered, FileBytes
from sport.tools.gta.base import Ran
from sport.tools.gta.box import CODE, GtaTools, ours
from sport.tools.gta.engines import ENGINES
from sport.tools.gta.pictures import AddText, DrawBox, Ocr, box
from sport.tools.gta.specs import SPECS
from sport.types import Parameter, ToolSpec
from sport.wire import check
from sport.wire_bench import lacking

DATA = Path(__file__).parents[1] / "data" / "gta"


def picture(text: str = "", size: tuple[int, int] = (400, 200)) -> FileBytes:
    image = PIL.Image.new("RGB", size, "white")
    PIL.ImageDraw.Draw(image).text((40, 60), text, fill="black", font=PIL.ImageFont.load_default(48))
    out = io.BytesIO()
    image.save(out, "PNG")
    return FileBytes(out.getvalue(), "image/png")


def opened(output) -> np.ndarray:
    ((name, data),) = output.files.items()
    assert output.value == name
    return np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_names_and_schemas_are_those_of_the_data_set() -> None:
    theirs = {spec.name: spec for spec in gta.all_tools(gta.load(DATA))}
    assert set(SPECS) == set(theirs) and len(SPECS) == 14
    for name, spec in SPECS.items():
        shape = [(p.name, p.type, p.required, p.default) for p in spec.parameters]
        assert shape == [(p.name, p.type, p.required, p.default) for p in theirs[name].parameters], name
    assert set(CODE) | set(ENGINES) | {"OCR", "DrawBox", "AddText"} == set(SPECS)


# ------------------------------------------------------------------------------ without a model


def test_text_is_read_with_its_boxes() -> None:
    found = Ocr().call(picture("Total 42"))
    edges, text = re.fullmatch(r"\((\d+, \d+, \d+, \d+)\) (.*)", found).groups()
    x1, y1, x2, y2 = map(int, edges.split(", "))
    assert text.replace(" ", "") == "Total42" and 20 < x1 < 60 < x2 and 40 < y1 < y2 < 140


def test_a_box_is_drawn_where_it_is_asked_for() -> None:
    made = opened(DrawBox().call(picture(), "(50, 60, 150, 160)", "cup"))
    red = (made[:, :, 0] > 200) & (made[:, :, 1] < 60)
    assert red[60, 50:150].all() and red[60:160, 50].all() and not red[100, 100]
    assert red[:58].any()  # the annotation above it
    with pytest.raises(ToolError, match="is empty"):
        DrawBox().call(picture(), "(5, 5, 1, 1)", None)


@pytest.mark.parametrize(
    ("position", "half"), [("lt", "top"), ("mb", "bottom"), ("(20, 150)", "bottom"), ("rt", "top")]
)
def test_a_text_is_written_where_it_is_asked_for(position: str, half: str) -> None:
    made = opened(AddText().call(picture(), "hello", position, "blue"))
    blue = (made[:, :, 2] > 200) & (made[:, :, 0] < 60)
    assert blue[:100].any() == (half == "top") and blue[100:].any() == (half == "bottom")


@pytest.mark.parametrize(
    ("position", "colour", "words"), [("xx", "red", "position must be"), ("lt", "reddish", "unknown")]
)
def test_a_bad_position_or_colour_is_said(position: str, colour: str, words: str) -> None:
    with pytest.raises(ToolError, match=words):
        AddText().call(picture(), "a", position, colour)


@given(st.lists(st.integers(0, 5000), min_size=4, max_size=4), st.sampled_from(["({}, {}, {}, {})", "[{},{},{},{}]"]))
def test_a_box_is_four_numbers_however_it_is_dressed(edges: list[int], form: str) -> None:
    assert box(form.format(*edges)) == tuple(edges)
    with pytest.raises(ToolError):
        box(form.format(*edges).replace(str(edges[0]), "x") if len(set(edges)) == 1 else "1, 2, 3")


# --------------------------------------------------------------------------------- code in a box


@pytest.fixture(scope="module")
def computing(tmp_path_factory: pytest.TempPathFactory):
    """Runs one call after another in the real sandbox."""
    import asyncio

    folder = tmp_path_factory.mktemp("box") / "run"
    store = Store.create(folder, Config())
    limits = SandboxSection(libraries=("sympy", "matplotlib.pyplot"), wall_s=20)
    sandbox = ForkedSandbox(specs=(), call=None, put=store.put, read=store.read, limits=limits)

    async def run(calls):
        tools = GtaTools(list(CODE), Nothing(), Boxes(sandbox, store.read))
        await tools.start()
        try:
            return [await tools.call(name, arguments) for name, arguments in calls]
        finally:
            await tools.stop()

    yield lambda *calls: asyncio.run(run(calls))
    store.close()


class Nothing:
    specs = ()

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def call(self, name, arguments) -> Answered:
        raise AssertionError(name)


SOLVE = "```python\nfrom sympy import symbols, solve\ndef solution():\n    return str(solve(symbols('x')**2 - 4))\n```"
DRAW = "import matplotlib.pyplot as p\ndef solution():\n    p.figure(figsize=(3, 2))\n    return p.bar(['a'], [1])[0]"


def test_code_runs_in_closed_boxes_and_its_mistakes_are_words(computing) -> None:
    expressions = [
        "479.99 * 4",
        "15.5 * 1 + 11.5 * 1",
        "5 / 9",
        "round(sqrt(2) * comb(4, 2), 3)",
        "[1, 2]",
        "1 / 0",
        "open('x', 'w')",
    ]
    calls = [("Calculator", {"expression": text}) for text in expressions]
    calls += [
        ("Solver", {"command": SOLVE}),
        ("Solver", {"command": "x = 1"}),
        ("Solver", {"command": "def solution(:"}),
    ]
    calls += [("Plot", {"command": DRAW}), ("Plot", {"command": "def solution():\n    return 3"}), ("Calculator", {})]
    found = computing(*calls)
    assert [one.value for one in found[:5]] == ["1919.96", "27", "0.5555555555555556", "8.485", "[1, 2]"]
    assert "ZeroDivisionError" in found[5].error
    assert found[7].value == "[-2, 2]"
    assert found[8].error == "Solver: the code defines no function solution()" and "SyntaxError" in found[9].error
    drawn = found[10]
    assert PIL.Image.open(io.BytesIO(drawn.files[drawn.value])).size == (300, 200)
    assert "no attribute 'figure'" in found[11].error and "needs 'expression'" in found[12].error


# ------------------------------------------------------------------------------------- by engine


def spec(name: str, *parameters: tuple[str, str]) -> ToolSpec:
    return ToolSpec(name=name, description="", parameters=tuple(Parameter(name=n, type=t) for n, t in parameters))


class Engines:
    """Stand-ins with the parameters that engines have; what they were asked is kept."""

    specs = (
        spec("visualizer", ("image_path", "file"), ("question", "string")),
        spec("objectlocation", ("object", "string"), ("image_path", "file")),
        spec("search", ("query", "string")),
        spec("image_generator", ("prompt", "string")),
        spec("image_edit", ("prompt", "string"), ("image_path", "file")),
        spec("crop", ("image", "file"), ("box", "array")),
    )

    def __init__(self, **said: object) -> None:
        self.said = said
        self.asked: list[tuple[str, dict]] = []

    async def start(self) -> None: ...
    async def stop(self) -> None: ...

    async def call(self, name: str, arguments: dict) -> Answered:
        self.asked.append((name, arguments))
        if name == "crop":
            return Answered(files={"crop.png": b"part"})
        if name in ("image_generator", "image_edit"):
            return Answered(value={"file": "image.jpg"}, files={"image.jpg": b"made"})
        said = self.said.get(name)
        return Answered(error=str(said)) if isinstance(said, ToolError) else Answered(value=said)


class Idle:
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def run(self, program: str) -> Ran:
        raise AssertionError(program)


IMAGE = FileBytes(b"whole", "image/jpeg")


async def ask(name: str, inner: Engines, **arguments: object) -> Answered:
    tools = GtaTools([*ENGINES, *CODE], inner, Idle())
    return await tools.call(name, arguments)


async def test_each_tool_asks_its_engine_and_answers_in_gtas_form() -> None:
    eyes = Engines(visualizer=" There are 12 of them. ", search=[{"title": "T", "text": "x"}] * 3)
    assert (await ask("ImageDescription", eyes, image=IMAGE)).value == "There are 12 of them."
    assert (await ask("CountGivenObject", eyes, image=IMAGE, text="cup")).value == 12
    assert (await ask("GoogleSearch", eyes, query="q", k=2)).value == "1 - T: x\n\n2 - T: x"
    assert (await ask("MathOCR", Engines(visualizer="$x^2$"), image=IMAGE)).value == "x^2"
    boxes = Engines(objectlocation=[{"box": [1, 2, 3.4, 4], "score": 0.5}, {"box": [5, 6, 7, 8], "score": 0.91}])
    assert (await ask("TextToBbox", boxes, image=IMAGE, text="dog")).value == "(5, 6, 7, 8), score 91"
    every = await ask("TextToBbox", boxes, image=IMAGE, text="dog", top1=False)
    assert every.value == "(5, 6, 7, 8), score 91\n(1, 2, 3, 4), score 50"
    for name, arguments in (
        ("TextToImage", {"keywords": "k"}),
        ("ImageStylization", {"image": IMAGE, "instruction": "i"}),
    ):
        made = await ask(name, eyes, **arguments)
        assert made.files == {made.value: b"made"} and made.value.endswith(".jpg")


async def test_a_region_is_cut_out_before_it_is_looked_at() -> None:
    eyes = Engines(visualizer="brown")
    found = await ask("RegionAttributeDescription", eyes, image=IMAGE, bbox="(1, 2, 3, 4)", attribute="colour")
    assert found.value == "brown" and eyes.asked[0] == ("crop", {"image": IMAGE, "box": [1, 2, 3, 4]})
    name, given = eyes.asked[1]
    assert (name, given["image_path"].data) == ("visualizer", b"part") and "colour" in given["question"]


@pytest.mark.parametrize(
    ("name", "inner", "arguments", "words"),
    [
        ("CountGivenObject", Engines(visualizer="none"), {"image": IMAGE, "text": "cup"}, "gave no number"),
        ("TextToBbox", Engines(objectlocation=[]), {"image": IMAGE, "text": "dog"}, "nothing like"),
        ("GoogleSearch", Engines(search="Town: x"), {"query": "q"}, "needs a provider"),
        ("ImageDescription", Engines(visualizer=ToolError("busy")), {"image": IMAGE}, "busy"),
        ("ImageDescription", Engines(), {}, "needs 'image'"),
        ("Radar", Engines(), {}, "there is no tool 'Radar'"),
    ],
)
async def test_what_does_not_work_is_an_error_for_the_controller(name, inner, arguments, words) -> None:
    assert words in str((await ask(name, inner, **arguments)).error)


def test_helpers_are_not_shown_and_the_order_is_the_configurations() -> None:
    tools = GtaTools(["MathOCR", "crop", "CountGivenObject", "Calculator"], Engines(), Idle())
    assert [one.name for one in tools.specs][:4] == ["MathOCR", "crop", "CountGivenObject", "Calculator"]
    assert "visualizer" not in [one.name for one in tools.specs]
    assert ours(["crop", "CountGivenObject"]) == ("crop", "visualizer")


def test_what_an_engine_lacks_is_said_before_anything_is_made() -> None:
    config = Config(tools=Tools(names=tuple(SPECS)))
    wanting = lacking(config)
    assert not {"OCR", "DrawBox", "AddText", "Calculator", "Solver", "Plot"} & wanting.keys()
    assert "provider" in wanting["GoogleSearch"]
    with pytest.raises(ConfigError, match="GoogleSearch works with"):
        check(Config(tools=Tools(names=("GoogleSearch",))))
