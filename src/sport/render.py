"""The only place where messages and pictures become token ids.

A conversation is rendered in segments: the prompt up to the first action, every action, and what stands between one
action and the next. :class:`Renderer` proves at load that the segments, tokenised one by one, are exactly the tokens of
the whole conversation rendered at once; where a chat template rewrites or strips earlier turns this does not hold, and
``segmentable`` is False.
"""

from __future__ import annotations

import io
import itertools
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image

from sport.errors import CheckpointError, InputError
from sport.types import File, Image, Message, ReadFile, Text

_ANSWER = "An answer without a name."  # stands for a turn of the model where a template is taken apart
_PIXELS = 50_000_000  # a picture with more is refused before it is unpacked


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
    Completions keep the model's raw text; one that was cut at the token limit gets no end marker. In the history of
    :meth:`prompt` every turn is closed, cut or not, as the template does it: whoever lays out a row from segments puts
    ``end_id`` between a cut action and what follows, as context and not as a target.

    At most ``memory`` bytes of pictures are kept.

    Raises:
        CheckpointError: no chat template, or one that does not end a turn with a special token.
    """

    def __init__(self, tokenizer: Any, image_processor: Any | None, read: ReadFile, memory: int = 256 << 20) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise CheckpointError(
                f"{tokenizer.name_or_path}: the tokenizer has no chat template; add chat_template.jinja"
            )
        self.tokenizer = tokenizer
        self._processor = image_processor
        self._read = read
        self._control = sorted({t.content for t in tokenizer.added_tokens_decoder.values() if t.special}, key=len)
        self._pictures: OrderedDict[str, Picture] = OrderedDict()
        self._grids: dict[str, tuple[int, int, int]] = {}
        self._memory = memory
        image_id = tokenizer.convert_tokens_to_ids("<|image_pad|>")
        self._image_id = -1 if image_id is None or image_processor is None else int(image_id)
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
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    # ------------------------------------------------------------------------------------------ pictures

    def picture(self, file: File) -> Picture:
        """Patches of one picture; kept by content, so that n candidates and all epochs pay once.

        Raises:
            InputError: Pillow cannot read it, it has more than 50 million pixels, or it is too narrow for the model.
            CheckpointError: the checkpoint has no image processor.
        """
        if self._processor is None:
            raise CheckpointError(
                "a task has a picture, but the checkpoint cannot see (no preprocessor_config.json); use a Qwen2-VL one"
            )
        kept = self._pictures.pop(file.sha256, None)
        picture = self._patches(file) if kept is None else kept
        self._pictures[file.sha256] = picture
        self._grids[file.sha256] = picture.grid
        self._forget_oldest()
        return picture

    @property
    def image_id(self) -> int:
        """The id of the picture placeholder; every occurrence stands for one vector of the vision tower.

        It is -1, which no token has, where the checkpoint cannot see.
        """
        return self._image_id

    def vectors(self, file: File) -> int:
        """How many placeholder tokens a picture takes."""
        if file.sha256 not in self._grids:
            self.picture(file)
        t, h, w = self._grids[file.sha256]
        assert self._processor is not None
        return int(t * h * w // self._processor.merge_size**2)

    def _patches(self, file: File) -> Picture:
        assert self._processor is not None
        try:
            with PIL.Image.open(io.BytesIO(self._read(file))) as opened:
                if opened.width * opened.height > _PIXELS:
                    raise ValueError(f"{opened.width} x {opened.height} pixels; at most {_PIXELS} are read")
                out = self._processor(images=[opened.convert("RGB")], return_tensors="np")
        except (OSError, ValueError, SyntaxError, EOFError, PIL.Image.DecompressionBombError) as error:
            # Pillow's decoders raise all of these for broken files, the processor ValueError for a mere line
            raise InputError(f"{file.name}: not a picture that can be looked at ({error})") from error
        t, h, w = (int(x) for x in out["image_grid_thw"][0])
        return Picture(np.asarray(out["pixel_values"], dtype=np.float32), (t, h, w))

    def _forget_oldest(self) -> None:
        while len(self._pictures) > 1 and sum(p.pixels.nbytes for p in self._pictures.values()) > self._memory:
            self._pictures.popitem(last=False)

    # ------------------------------------------------------------------------------------------- details

    def _segment(self, text: str, images: tuple[File, ...]) -> Segment:
        ids = self._encode(text)
        if not images:
            return Segment(tuple(ids))
        if ids.count(self.image_id) != len(images):
            raise CheckpointError(
                f"{self.tokenizer.name_or_path}: the chat template writes {ids.count(self.image_id)} placeholders for "
                f"{len(images)} pictures; expected <|image_pad|> once for each"
            )
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
        content: list[dict[str, str]] = []
        for is_text, parts in itertools.groupby(message.parts, key=lambda part: isinstance(part, Text)):
            if is_text:  # neighbours are one text: a control token must not come about where they meet
                words = "".join(part.text for part in parts if isinstance(part, Text))
                content.append({"type": "text", "text": self._neutral(words)})
            else:
                content += [{"type": "image"} for _ in parts]
        return content

    def _neutral(self, text: str) -> str:
        for token in self._control:
            if token in text:
                text = text.replace(token, token[0] + "\u200b" + token[1:])
        return text

    def _between_text(self, message: Message) -> str:
        before = [_user("x"), _answer(_ANSWER)]
        closed = self._template(before, generate=False)
        whole = self._template([*before, message], generate=True)
        return whole[closed.rindex(_ANSWER) + len(_ANSWER) + len(self._lead) :]

    def _find_end(self) -> tuple[str, int]:
        """The text from the end of a turn's words to just after its end-of-turn token, and that token's id."""
        closed = self._template([_user("x"), _answer(_ANSWER)], generate=False)
        rest = closed[closed.rindex(_ANSWER) + len(_ANSWER) :]
        token = next((t for t in reversed(self._control) if rest.lstrip().startswith(t)), None)
        if token is None:
            raise CheckpointError(
                f"{self.tokenizer.name_or_path}: the chat template does not end a turn with a special token; "
                "use one of the ChatML kind"
            )
        lead = rest[: rest.index(token) + len(token)]
        return lead, int(self.tokenizer.convert_tokens_to_ids(token))

    def _prove(self) -> bool:
        """Two actions and two observations, with white space at the ends that some templates strip."""
        turns = [_user(" What is on it? "), _answer("Thought: a.\nCode:\n```py\nx = 1\n```\n")]
        turns += [_user("Observation: 12\nthe end\n"), _answer(" Code:\nb"), _user("Observation:")]
        parts = list(self.prompt(turns[:1]).ids)
        for action, observation in ((turns[1], turns[2]), (turns[3], turns[4])):
            parts += (*self.completion(action.text, True), *self.between(observation).ids)
        return self.prompt(turns).ids == tuple(parts) and self._lead == self.tokenizer.convert_ids_to_tokens(
            self.end_id
        )


def _user(text: str) -> Message:
    return Message(role="user", parts=(Text(text=text),))


def _answer(text: str) -> Message:
    return Message(role="assistant", parts=(Text(text=text),))


def _images(messages: Sequence[Message]) -> tuple[File, ...]:
    return tuple(part.file for m in messages for part in m.parts if isinstance(part, Image))
