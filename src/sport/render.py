"""The only place where messages and pictures become token ids.

A conversation is rendered in segments: the prompt up to the first action, every action, and what stands between one
action and the next. :class:`Renderer` proves at load that the segments, tokenised one by one, are exactly the tokens of
the whole conversation rendered at once; where a chat template rewrites or strips earlier turns this does not hold, and
``segmentable`` is False. ``splits`` says whether it holds at least for a conversation with nothing to strip; whoever
knows the words can then see whether they are of that kind (``tune.pack``).
"""

from __future__ import annotations

import io
import itertools
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import PIL.Image

from sport.errors import CheckpointError, InputError
from sport.eyes import Picture, eyes
from sport.types import File, Image, Message, ReadFile, Text

__all__ = ["Picture", "Renderer", "Segment"]

_ANSWER = "An answer without a name."  # stands for a turn of the model where a template is taken apart
_PIXELS = 50_000_000  # a picture with more is refused before it is unpacked


@dataclass(frozen=True)
class Segment:
    """Token ids, and the pictures whose placeholders they hold, in order."""

    ids: tuple[int, ...]
    images: tuple[File, ...] = ()


class Renderer:
    """Messages to token ids for one checkpoint: its tokenizer, its chat template, its image processor.

    ``image_processor`` is that of the Qwen-VL family, or a whole processor of transformers for another kind of model.

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
        self._eyes = eyes(image_processor, tokenizer)
        self._read = read
        self._control = sorted({t.content for t in tokenizer.added_tokens_decoder.values() if t.special}, key=len)
        self._pictures: OrderedDict[str, Picture] = OrderedDict()
        self._expansions: dict[str, tuple[tuple[int, ...], tuple[int, int, int] | None]] = {}
        self._memory = memory
        self._listed = False
        self._lead, self.end_id = self._find_end()
        self.segmentable = self._prove(_AWKWARD)
        self.splits = self.segmentable or self._prove(_CLEAN)

    # ------------------------------------------------------------------------------------------ segments

    def prompt(self, messages: Sequence[Message]) -> Segment:
        """The conversation so far and the header of the model's next turn."""
        return self._segment(self._template(messages, generate=True), _images(messages))

    def completion(self, raw: str, finished: bool) -> tuple[int, ...]:
        """The model's own turn: its raw text, and the end-of-turn token if it ended by itself."""
        ids = self._encode(self._neutral(raw))
        return (*ids, self.end_id) if finished else tuple(ids)

    def closed(self, raw: str) -> Segment:
        """A turn of the model within a history: always with its end-of-turn token."""
        return Segment(self.completion(raw, True))

    def between(self, messages: Message | Sequence[Message]) -> Segment:
        """What follows an action's end-of-turn token: the observation's turn and the header of the next action."""
        messages = [messages] if isinstance(messages, Message) else list(messages)
        return self._segment(self.words_between(messages), _images(messages))

    def text(self, ids: Sequence[int]) -> str:
        """Ids of a completion as raw text, without control tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    # --------------------------------------------------------------------------------------------- words

    def words(self, messages: Sequence[Message]) -> str:
        """The text that :meth:`prompt` tokenises; every picture is one placeholder in it."""
        return self._template(messages, generate=True)

    def words_closed(self, raw: str) -> str:
        """The text that :meth:`closed` tokenises."""
        return self._neutral(raw) + self._lead

    def words_between(self, messages: Sequence[Message]) -> str:
        """The text that :meth:`between` tokenises."""
        before = [_user("x"), _answer(_ANSWER)]
        closed = self._template(before, generate=False)
        whole = self._template([*before, *messages], generate=True)
        return whole[closed.rindex(_ANSWER) + len(_ANSWER) + len(self._lead) :]

    # ------------------------------------------------------------------------------------------ pictures

    def picture(self, file: File) -> Picture:
        """Patches of one picture; kept by content, so that n candidates and all epochs pay once.

        Raises:
            InputError: Pillow cannot read it, it has more than 50 million pixels, or it is too narrow for the model.
            CheckpointError: the checkpoint has no image processor.
        """
        if self._eyes is None:
            raise CheckpointError(
                "a task has a picture, but the checkpoint cannot see (no preprocessor_config.json); use a Qwen2-VL one"
            )
        kept = self._pictures.pop(file.sha256, None)
        picture = self._patches(file) if kept is None else kept
        self._pictures[file.sha256] = picture
        self._expansions[file.sha256] = (picture.tokens, self._eyes.grid(picture))
        self._forget_oldest()
        return picture

    @property
    def image_id(self) -> int:
        """The id of the picture placeholder; every occurrence stands for one vector of the vision tower.

        It is -1, which no token has, where the checkpoint cannot see.
        """
        return -1 if self._eyes is None else self._eyes.image_id

    def vectors(self, file: File) -> int:
        """How many placeholder tokens a picture takes."""
        return self._expansion(file)[0].count(self.image_id)

    def grid(self, file: File) -> tuple[int, int, int] | None:
        """A picture's vectors by (time, height, width), where positions count along its axes; else None."""
        return self._expansion(file)[1]

    def _expansion(self, file: File) -> tuple[tuple[int, ...], tuple[int, int, int] | None]:
        if file.sha256 not in self._expansions:
            self.picture(file)
        return self._expansions[file.sha256]

    def _patches(self, file: File) -> Picture:
        assert self._eyes is not None
        try:
            with PIL.Image.open(io.BytesIO(self._read(file))) as opened:
                if opened.width * opened.height > _PIXELS:
                    raise ValueError(f"{opened.width} x {opened.height} pixels; at most {_PIXELS} are read")
                return self._eyes.look(opened.convert("RGB"))
        except (OSError, ValueError, SyntaxError, EOFError, PIL.Image.DecompressionBombError) as error:
            # Pillow's decoders raise all of these for broken files, the processor ValueError for a mere line
            raise InputError(f"{file.name}: not a picture that can be looked at ({error})") from error

    def _forget_oldest(self) -> None:
        while len(self._pictures) > 1 and sum(p.size for p in self._pictures.values()) > self._memory:
            self._pictures.popitem(last=False)

    # ------------------------------------------------------------------------------------------- details

    def _segment(self, text: str, images: tuple[File, ...]) -> Segment:
        ids = self._encode(text)
        if not images:
            return Segment(tuple(ids))
        if ids.count(self.image_id) != len(images):
            raise CheckpointError(
                f"{self.tokenizer.name_or_path}: the chat template writes {ids.count(self.image_id)} placeholders for "
                f"{len(images)} pictures; expected one of token {self.image_id} for each"
            )
        tokens = iter([self._expansion(file)[0] for file in images])
        expanded: list[int] = []
        for token in ids:
            expanded.extend(next(tokens) if token == self.image_id else [token])
        return Segment(tuple(expanded), images)

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def _template(self, messages: Sequence[Message], *, generate: bool) -> str:
        turns = [{"role": m.role, "content": self._content(m)} for m in messages]
        return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=generate))

    def _content(self, message: Message) -> str | list[dict[str, str]]:
        if not self._listed and all(isinstance(part, Text) for part in message.parts):
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

    def _find_end(self) -> tuple[str, int]:
        """The text from the end of a turn's words to just after its end-of-turn token, and that token's id."""
        closed = self._closed_turn()
        rest = closed[closed.rindex(_ANSWER) + len(_ANSWER) :]
        token = next((t for t in reversed(self._control) if rest.lstrip().startswith(t)), None)
        if token is None:
            raise CheckpointError(
                f"{self.tokenizer.name_or_path}: the chat template does not end a turn with a special token; "
                "use one of the ChatML kind"
            )
        lead = rest[: rest.index(token) + len(token)]
        return lead, int(self.tokenizer.convert_tokens_to_ids(token))

    def _closed_turn(self) -> str:
        """A question and an answer as the template has them; some templates read contents only as lists of parts."""
        turns = [_user("x"), _answer(_ANSWER)]
        for self._listed in (False, True):
            try:
                closed = self._template(turns, generate=False)
            except (jinja2.TemplateError, TypeError):
                continue  # this way of writing it is not the template's
            if _ANSWER in closed:
                return closed
        raise CheckpointError(f"{self.tokenizer.name_or_path}: the chat template leaves the model's turns out")

    def _prove(self, words: tuple[str, str, str, str, str]) -> bool:
        """Whether a conversation of two actions and two observations is its segments, token by token."""
        asked, first, seen, second, more = words
        turns = [_user(asked), _answer(first), _user(seen), _answer(second), _user(more)]
        parts = list(self.prompt(turns[:1]).ids)
        for action, observation in ((turns[1], turns[2]), (turns[3], turns[4])):
            parts += (*self.completion(action.text, True), *self.between(observation).ids)
        return self.prompt(turns).ids == tuple(parts) and self._lead == self.tokenizer.convert_ids_to_tokens(
            self.end_id
        )


# White space at the ends, which some templates strip; and a conversation that gives them nothing to strip.
_AWKWARD = (
    " What is on it? ",
    "Thought: a.\nCode:\n```py\nx = 1\n```\n",
    "Observation: 12\nthe end\n",
    " Code:\nb",
    "Observation:",
)
_CLEAN = ("What is on it?", "Thought: a.\nCode:\n```py\nx = 1\n```", "Observation: 12", "Code:\nb", "Observation:")


def _user(text: str) -> Message:
    return Message(role="user", parts=(Text(text=text),))


def _answer(text: str) -> Message:
    return Message(role="assistant", parts=(Text(text=text),))


def _images(messages: Sequence[Message]) -> tuple[File, ...]:
    return tuple(part.file for m in messages for part in m.parts if isinstance(part, Image))
