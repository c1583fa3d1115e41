"""A synthesiser, judge, captioner, embedder and painter behind HTTP on loopback: one script plays all roles."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import PIL.Image

from servers import Handler, Server, completion, serving

WIDTH = 64
SUBJECTS = ("bicycles", "lamps", "kettles", "ladders", "umbrellas", "violins", "anchors", "tents", "clocks", "gloves")
PLACES = ("in the cellar", "on the terrace", "behind the mill", "at the quay", "beside the stove", "under the stairs")
ASKS = (
    "Tell me which of the {0} kept {1} costs the most for number {2}",
    "By how much do the {0} seen {1} outnumber {2} others",
    "What would the {0} from {1} weigh together if {2} were left out",
    "Make an ordered table of all the {0} standing {1}, {2} at the end",
)

PROGRAMS = {
    "csv": "import csv\nwith open({name!r}, 'w', newline='') as f:\n    csv.writer(f).writerows({rows})",
    "json": "import json\nwith open({name!r}, 'w') as f:\n    json.dump(dict({rows}), f)",
    "txt": "with open({name!r}, 'w') as f:\n    f.write('\\n'.join(f'{{a}}: {{b}}' for a, b in {rows}))",
    "html": (
        "page = ''.join(f'<tr><td>{{a}}</td><td>{{b}}</td></tr>' for a, b in {rows})\n"
        "with open({name!r}, 'w') as f:\n"
        "    f.write('<html><head><title>t</title></head><body><table>' + page + '</table></body></html>')"
    ),
    "xlsx": (
        "import openpyxl\nbook = openpyxl.Workbook()\n"
        "for row in {rows}:\n    book.active.append(row)\nbook.save({name!r})"
    ),
    "docx": (
        "import docx\npaper = docx.Document()\npaper.add_heading('Stock')\n"
        "for a, b in {rows}:\n    paper.add_paragraph(f'{{a}}: {{b}}')\npaper.save({name!r})"
    ),
    "pptx": (
        "import pptx\ndeck = pptx.Presentation()\nslide = deck.slides.add_slide(deck.slide_layouts[1])\n"
        "slide.shapes.title.text = 'Stock'\n"
        "slide.placeholders[1].text = '\\n'.join(f'{{a}}: {{b}}' for a, b in {rows})\ndeck.save({name!r})"
    ),
    "pdf": (
        "from reportlab.pdfgen.canvas import Canvas\npage = Canvas({name!r})\n"
        "for i, (a, b) in enumerate({rows}):\n    page.drawString(72, 720 - 20 * i, f'{{a}}: {{b}}')\npage.save()"
    ),
}
ROWS = [("item", "count"), ("anchors", "17"), ("lanterns", "42"), ("violins", "5")]
"""What every document of these programs holds."""


def program(name: str) -> str:
    kind = name.rpartition(".")[2]
    return PROGRAMS[kind].format(name=name, rows=ROWS)


@dataclass
class Author:
    """Answers by what a prompt asks for. Fields change what it says.

    ``queries`` are handed out in order, then made up; each is (query, kinds). ``verdicts`` are by a piece of the query:
    a JSON object, or a list of them in the order of asking. ``plays`` come first, one a call of a chat.
    """

    queries: Sequence[tuple[str, Sequence[str]]] = ()
    kinds: Sequence[Sequence[str]] = ((),)
    verdicts: dict[str, Any] = field(default_factory=dict)
    shows: str = ""
    plays: list[Any] = field(default_factory=list)
    made: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, handler: Handler, body: dict[str, Any]) -> None:
        if handler.path.endswith("/embeddings"):
            rows = [{"index": i, "embedding": vector(text)} for i, text in enumerate(body["input"])]
            return handler.reply(200, {"data": rows, "usage": {"prompt_tokens": 3, "total_tokens": 3}})
        if handler.path.endswith("/images/generations"):
            return handler.reply(200, {"data": [{"b64_json": base64.b64encode(painted(body["prompt"])).decode()}]})
        with self.guard:
            play = self.plays.pop(0) if self.plays else None
            text = play if play is not None else self.say(words(body["messages"][0]), body)
        return handler.reply(200, completion(*[text] * body.get("n", 1)))

    def say(self, prompt: str, body: dict[str, Any]) -> str:
        if "You write tasks for an assistant" in prompt:
            [n] = re.findall(r"Write (\d+) new tasks", prompt)
            return json.dumps({"tasks": [self.task() for _ in range(int(n))]})
        if "Say for every file what it must show" in prompt:
            [query] = re.findall(r"A task for an assistant with tools:\s+(.+)", prompt)
            [kinds] = re.findall(r"in this order: (.+)\.\n", prompt)
            shows = self.shows or f"Everything that this asks for: {query}"
            files = [{"kind": k, "name": f"stock {k}.{k}", "shows": shows} for k in kinds.split(", ")]
            return "Here it is:\n```json\n" + json.dumps({"files": files}) + "\n```"
        if "Write a Python program" in prompt:
            [name] = re.findall(r"makes one file called (\S+)", prompt)
            return f"```py\n{program(name)}\n```"
        if "Somebody wants to put this task" in prompt:
            return json.dumps(self.judge(prompt))
        if "Describe this picture" in prompt:
            return caption(body)
        raise AssertionError(prompt)

    def task(self) -> dict[str, Any]:
        number, self.made = self.made, self.made + 1
        if number < len(self.queries):
            query, kinds = self.queries[number]
        else:
            ask = ASKS[number % len(ASKS)]
            query = ask.format(SUBJECTS[number // 4 % 10], PLACES[number // 3 % 6], 100 + number * 7)
            kinds = self.kinds[number % len(self.kinds)]
        return {"query": query, "files": list(kinds), "tools": []}

    def judge(self, prompt: str) -> Any:
        for piece, said in self.verdicts.items():
            if piece in prompt:
                return said.pop(0) if isinstance(said, list) else said
        return {"verdict": "keep", "criterion": "none", "reason": "query and files belong together"}


def words(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def vector(text: str) -> list[float]:
    """A bag of words, hashed: captions that share words are close."""
    row = [0.0] * WIDTH
    for word in re.findall(r"[a-z]+", text.lower()):
        row[hashlib.sha256(word.encode()).digest()[0] % WIDTH] += 1.0
    return row


def painted(text: str) -> bytes:
    colour = tuple(hashlib.sha256(text.encode()).digest()[:3])
    out = io.BytesIO()
    PIL.Image.new("RGB", (64, 48), colour).save(out, "PNG")
    return out.getvalue()


def caption(body: dict[str, Any]) -> str:
    """Of a picture of one colour, by its loudest channel."""
    [url] = [p["image_url"]["url"] for p in body["messages"][0]["content"] if p["type"] == "image_url"]
    with PIL.Image.open(io.BytesIO(base64.b64decode(url.partition(";base64,")[2]))) as picture:
        red, green, blue = picture.convert("RGB").getpixel((0, 0))
    loudest = max((red, "scarlet"), (green, "emerald"), (blue, "azure"))[1]
    return f"A plain {loudest} wall in full sunlight."


@contextmanager
def author(**settings: Any) -> Iterator[tuple[Server, Author]]:
    script = Author(**settings)
    with serving(script) as server:
        yield server, script


def endpoint(section: str, url: str, *more: str) -> list[str]:
    """Overrides that put a role behind this server."""
    own = (f'base_urls=["{url}"]', "model=tiny", "tries=2", "timeout_s=10.0", "max_wait_s=0.01", *more)
    return [f"{section}.endpoint.{setting}" for setting in own]
