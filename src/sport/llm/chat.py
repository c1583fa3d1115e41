"""Our records in the words of the OpenAI chat protocol, and its replies back into ours."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import PIL.Image
from pydantic import BaseModel, Field

from sport.errors import ContentError
from sport.types import File, Image, Message, ReadFile, Sample, Text, Usage

PASSED = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
"""Pictures that servers take as they are; others are sent as PNG."""


class Token(BaseModel):
    """One token with its log-probability."""

    logprob: float


class Logprobs(BaseModel):
    """Of a whole text, where the server gives them."""

    content: list[Token] | None = None


class Said(BaseModel):
    """The message of a choice. ``content`` is None where the server gave no text at all."""

    content: str | None = None


class Choice(BaseModel):
    """One text."""

    index: int = 0
    finish_reason: str | None = None
    message: Said
    logprobs: Logprobs | None = None


class Charged(BaseModel):
    """Tokens of a whole call."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Priced(BaseModel):
    """A reply that may say what it cost."""

    usage: Charged | None = None

    def charged(self) -> Usage | None:
        """Tokens of the call, None where the server does not say."""
        if self.usage is None:
            return None
        return Usage(prompt_tokens=self.usage.prompt_tokens, completion_tokens=self.usage.completion_tokens)


class Reply(Priced):
    """What we need of a chat completion; whatever else a server sends is passed over."""

    model: str | None = None
    choices: list[Choice] = Field(min_length=1)


def pictured(conversation: Sequence[Message]) -> bool:
    """Whether there is a picture to read and encode, which takes its time."""
    return any(isinstance(part, Image) for message in conversation for part in message.parts)


def messages(conversation: Sequence[Message], read: ReadFile) -> list[dict[str, Any]]:
    """A conversation as the protocol has it, its pictures inside as data URIs, all parts in their order.

    Turns without pictures are plain strings, which every server takes.

    Raises:
        ContentError: a picture that cannot be opened.
    """
    return [{"role": message.role, "content": _content(message, read)} for message in conversation]


def _content(message: Message, read: ReadFile) -> str | list[dict[str, Any]]:
    if not pictured([message]):
        return message.text
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, Text)
        else {"type": "image_url", "image_url": {"url": data_uri(part.file, read(part.file))}}
        for part in message.parts
    ]


def data_uri(file: File, data: bytes) -> str:
    """A picture's bytes as a data URI; its type is what the bytes are, not what its name says.

    Raises:
        ContentError: Pillow cannot open it.
    """
    try:
        with PIL.Image.open(io.BytesIO(data)) as picture:
            kind = PASSED.get(picture.format or "")
            if kind is None:
                out = io.BytesIO()
                picture.convert("RGBA" if picture.has_transparency_data else "RGB").save(out, "PNG")
                kind, data = "image/png", out.getvalue()
            else:
                picture.verify()
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise ContentError(f"{file.name}: this picture cannot be opened ({error})") from error
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def usable(choice: Choice) -> bool:
    """Whether a choice counts as a sample. An empty text is one; no text at all is not, but for one cut before it."""
    return choice.finish_reason != "content_filter" and (
        choice.message.content is not None or choice.finish_reason == "length"
    )


def samples(reply: Reply, choices: Sequence[Choice], source: str) -> list[Sample]:
    """The chosen choices of a reply.

    The prompt is charged to the first. Where the server gives no log-probabilities, the tokens of single texts are not
    known and the call's are shared out evenly: only their sum means anything.
    """
    usage = reply.charged() or Usage()
    share, rest = divmod(usage.completion_tokens, max(1, len(choices)))
    made = []
    for place, choice in enumerate(choices):
        tokens = choice.logprobs.content if choice.logprobs else None
        charged = Usage(
            prompt_tokens=0 if place else usage.prompt_tokens, completion_tokens=share + (1 if place < rest else 0)
        )
        made.append(
            Sample(
                text=choice.message.content or "",
                finished=choice.finish_reason != "length",
                logprob=sum(token.logprob for token in tokens) if tokens else None,
                usage=charged,
                source=source,
            )
        )
    return made
