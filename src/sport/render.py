"""The only place where messages and pictures become token ids.

A conversation is rendered in segments: the prompt up to the first action, every action, and what stands between one
action and the next. :class:`Renderer` proves at load that the segments, tokenised one by one, are exactly the tokens of
the whole conversation rendered at once (TUNING.md, layout 4); where a chat template rewrites earlier turns this does not
hold, and ``segmentable`` is False.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image

from sport.errors import CheckpointError, InputError
from sport.types import File, Image, Message, ReadFile, Text


@dataclass(frozen=True)
class Segment:
    """Token ids, and the pictures whose placeholders they hold, in order."""

    ids: tuple[int, ...]
    images: tuple[File, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A picture as the vision tower takes it: patches (P, C), float32, and its grid (t, h, w) in patches."""

    pixels: np.ndarray[Any, np.dtype[np.float32]]
    grid: tuple[int, int, int]


class Renderer:
    """Messages to token ids for one checkpoint: its tokenizer, its chat template, its image processor.

    Text that looks like a control token (``<|im_end|>`` in an observation) is made harmless before it is tokenised.
    Completions keep the model's raw text; one that was cut at the token limit gets no end marker.
    """

    def __init__(self, tokenizer: Any, image_processor: Any | None, read: ReadFile) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise CheckpointError(f"{tokenizer.name_or_path}: the tokenizer has no chat template; add chat_template.jinja")
        self.tokenizer = tokenizer
        self._processor = image_processor
        self._read = read
        self._control = sorted({t.content for t in tokenizer.added_tokens_decoder.values() if t.special}, key=len)
        self._pictures: dict[str, Picture] = {}
        self._lead, self.end_id = self._find_end()
        self.segmentable = self._prove()

    # ------------------------------------------------------------------------------------------ segments

    def prompt(self, messages: Sequence[Message]) -> Segment:
        """The conversation so far and the header of the model's next turn."""
        return self._segment(self._template(messages, generate=True), _images(messages))

    def completion(self, raw: str, finished: bool) -> tuple[int, ...]:
        """The model's own turn: its raw text, and the end-of-turn token if it ended by itself."""
        ids = self._encode(self._neutral(raw))
        return (*ids, self.end_id) if finished else tuple(ids)

    def between(self, message: Message) -> Segment:
        """What follows an action's end-of-turn token: the observation's turn and the header of the next action."""
        return self._segment(self._between_text(message), _images([message]))

    def text(self, ids: Sequence[int]) -> str:
        """Ids of a completion as raw text, without control tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    # ------------------------------------------------------------------------------------------ pictures

    def picture(self, file: File) -> Picture:
        """Patches of one picture; kept by content, so that n candidates and all epochs pay once.

        Raises:
            InputError: Pillow cannot read it.
        """
        if self._processor is None:
            raise CheckpointError("a task has a picture, but the checkpoint has no image processor (preprocessor_config.json)")
        if file.sha256 not in self._pictures:
            try:
                with PIL.Image.open(io.BytesIO(self._read(file))) as opened:
                    image = opened.convert("RGB")
            except (OSError, PIL.Image.DecompressionBombError) as error:
                raise InputError(f"{file.name}: not a picture that Pillow can read ({error})") from error
            out = self._processor(images=[image], return_tensors="np")
            t, h, w = (int(x) for x in out["image_grid_thw"][0])
            self._pictures[file.sha256] = Picture(np.asarray(out["pixel_values"], dtype=np.float32), (t, h, w))
        return self._pictures[file.sha256]

    @property
    def image_id(self) -> int:
        """The id of the picture placeholder; every occurrence stands for one vector of the vision tower."""
        return int(self.tokenizer.convert_tokens_to_ids("<|image_pad|>"))

    def vectors(self, file: File) -> int:
        """How many placeholder tokens a picture takes."""
        t, h, w = self.picture(file).grid
        assert self._processor is not None
        return int(t * h * w // self._processor.merge_size**2)

    # ------------------------------------------------------------------------------------------- details

    def _segment(self, text: str, images: tuple[File, ...]) -> Segment:
        ids = self._encode(text)
        if not images:
            return Segment(tuple(ids))
        counts = iter([self.vectors(file) for file in images])
        expanded: list[int] = []
        for token in ids:
            expanded.extend([token] * next(counts) if token == self.image_id else [token])
        return Segment(tuple(expanded), images)

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def _template(self, messages: Sequence[Message], *, generate: bool) -> str:
        turns = [{"role": m.role, "content": self._content(m)} for m in messages]
        return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=generate))

    def _content(self, message: Message) -> str | list[dict[str, str]]:
        if all(isinstance(part, Text) for part in message.parts):
            return self._neutral(message.text)
        return [
            {"type": "image"} if isinstance(part, Image) else {"type": "text", "text": self._neutral(part.text)}
            for part in message.parts
        ]

    def _neutral(self, text: str) -> str:
        for token in self._control:
            if token in text:
                text = text.replace(token, token[0] + "\u200b" + token[1:])
        return text

    def _between_text(self, message: Message) -> str:
        before = [_user("x"), Message(role="assistant", parts=(Text(text="y"),))]
        closed = self._template(before, generate=False)
        whole = self._template([*before, message], generate=True)
        start = closed.rindex("y") + 1 + len(self._lead)
        return whole[start:]

    def _find_end(self) -> tuple[str, int]:
        """The text from the end of a turn's words to just after its end-of-turn token, and that token's id."""
        closed = self._template([_user("x"), Message(role="assistant", parts=(Text(text="y"),))], generate=False)
        rest = closed[closed.rindex("y") + 1 :]
        token = next((t for t in reversed(self._control) if rest.lstrip().startswith(t)), None)
        if token is None:
            raise CheckpointError(f"{self.tokenizer.name_or_path}: the chat template does not end a turn with a special token")
        lead = rest[: rest.index(token) + len(token)]
        return lead, int(self.tokenizer.convert_tokens_to_ids(token))

    def _prove(self) -> bool:
        first, second = _user("What is on it?"), _user("Observation: 12\nthe end")
        turn = Message(role="assistant", parts=(Text(text="Thought: a.\nCode:\n```py\nx = 1\n```"),))
        whole = self.prompt([first, turn, second]).ids
        parts = (*self.prompt([first]).ids, *self.completion(turn.text, True), *self.between(second).ids)
        return whole == parts


def _user(text: str) -> Message:
    return Message(role="user", parts=(Text(text=text),))


def _images(messages: Sequence[Message]) -> tuple[File, ...]:
    return tuple(part.file for m in messages for part in m.parts if isinstance(part, Image))
