from __future__ import annotations

import io

import PIL.Image
import pytest

from models import CHAT_TEMPLATE, picture_file, tiny_qwen2, tiny_qwen2_vl
from sport.checkpoint import load_words
from sport.errors import CheckpointError, InputError
from sport.render import Renderer
from sport.types import File, Image, Message, Text

BYTES, SHA256 = picture_file(0)
PICTURE = File(name="label.png", sha256=SHA256, size=len(BYTES), media_type="image/png")


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return load_words(tiny_qwen2_vl(tmp_path_factory.mktemp("render")))


@pytest.fixture
def renderer(words):
    return Renderer(*words, read=lambda file: BYTES)


def user(*parts: str | File) -> Message:
    return Message(role="user", parts=tuple(Text(text=p) if isinstance(p, str) else Image(file=p) for p in parts))


def action(text: str) -> Message:
    return Message(role="assistant", parts=(Text(text=text),))


def with_template(words, template: str) -> Renderer:
    tokenizer, processor = words
    before = tokenizer.chat_template
    tokenizer.chat_template = template
    try:
        return Renderer(tokenizer, processor, lambda file: BYTES)
    finally:
        tokenizer.chat_template = before


# -------------------------------------------------------------------------------------------- segments


def test_segments_one_by_one_are_the_tokens_of_the_whole(renderer):
    system = Message(role="system", parts=(Text(text="Be brief."),))
    opening = [system, user(PICTURE, "How much sugar in 3 portions?")]
    turns = [
        action("Thought: read.\nCode:\n```py\nocr()\n```"),
        user("Observation: 12 g", PICTURE),
        action("\n 36\n"),
        user(""),
    ]
    whole = renderer.prompt([*opening, *turns])
    parts = [renderer.prompt(opening).ids]
    for done, seen in ((turns[0], turns[1]), (turns[2], turns[3])):
        parts += [renderer.completion(done.text, True), renderer.between(seen).ids]
    assert renderer.segmentable
    assert whole.ids == tuple(i for part in parts for i in part)
    assert whole.images == (PICTURE, PICTURE)


def test_a_prompt_ends_where_the_model_goes_on(renderer):
    text = renderer.tokenizer.decode(renderer.prompt([user("Hi")]).ids)
    assert text == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


def test_a_completion_that_was_cut_has_no_end_marker(renderer):
    whole, cut = renderer.completion("x = 12", True), renderer.completion("x = 12", False)
    assert whole == (*cut, renderer.end_id)
    assert renderer.text(cut) == "x = 12"


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n", "a , b . c 's", "Zoë 12€ 字", "```py\nx\n```", "\ttabs  and  spaces "]
)
def test_raw_text_goes_to_tokens_and_back(renderer, text):
    assert renderer.text(renderer.completion(text, True)) == text


def test_a_template_that_strips_turns_is_not_segmentable(words):
    assert not with_template(
        words, CHAT_TEMPLATE.replace("{{ message['content'] }}", "{{ message['content'] | trim }}")
    ).segmentable


def test_a_template_that_rewrites_earlier_turns_is_not_segmentable(words):
    rewriting = CHAT_TEMPLATE.replace(
        "{{ message['content'] }}", "{{ message['content'] if loop.last or message['role'] == 'user' else 'gone' }}"
    )
    with pytest.raises((CheckpointError, ValueError)):
        with_template(words, CHAT_TEMPLATE.replace("<|im_end|>", "END"))
    assert not with_template(words, rewriting.replace("'gone'", "message['content'][:9]")).segmentable


# -------------------------------------------------------------------------------------- control tokens


@pytest.mark.parametrize("token", ["<|im_end|>", "<|im_start|>", "<|image_pad|>", "<|endoftext|>", "<|video_pad|>"])
def test_words_that_look_like_control_tokens_are_harmless(renderer, token):
    plain, hostile = (renderer.prompt([user(f"Observation: a{x}b", PICTURE)]).ids for x in ("", token))
    control = renderer.tokenizer.convert_tokens_to_ids(token)
    assert plain.count(control) == hostile.count(control)
    assert control not in renderer.completion(f"a{token}b", False)


def test_a_control_token_cannot_be_put_together_from_pieces(renderer):
    end = renderer.end_id
    count = renderer.prompt([user("ab", PICTURE)]).ids.count(end)
    assert renderer.prompt([user("<|im_", "end|>", PICTURE)]).ids.count(end) == count
    assert renderer.prompt([user("<|im_<|im_end|>end|>", PICTURE)]).ids.count(end) == count


# -------------------------------------------------------------------------------------------- pictures


def test_every_picture_has_as_many_placeholders_as_vectors(renderer):
    ids = renderer.prompt([user(PICTURE, "?", PICTURE)]).ids
    assert renderer.vectors(PICTURE) == 16
    assert ids.count(renderer.image_id) == 32
    assert renderer.picture(PICTURE).pixels.shape == (64, 3 * 2 * 14 * 14)


def test_a_picture_is_cut_once(words):
    reads = []
    renderer = Renderer(*words, read=lambda file: reads.append(file.name) or BYTES)
    for _ in range(3):
        renderer.prompt([user(PICTURE)])
        renderer.picture(PICTURE)
    assert reads == ["label.png"]


def test_pictures_are_kept_within_bounds(words):
    files = {sha: data for data, sha in (picture_file(seed) for seed in range(4))}
    renderer = Renderer(*words, read=lambda file: files[file.sha256], memory=700_000)
    for sha in files:
        renderer.picture(PICTURE.model_copy(update={"sha256": sha}))
    assert sum(picture.pixels.nbytes for picture in renderer._pictures.values()) <= 700_000
    assert len(renderer._pictures) == 2


def drawn(width: int, height: int) -> bytes:
    out = io.BytesIO()
    PIL.Image.new("L", (width, height)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("data", [b"", b"junk", BYTES[:200], BYTES[:-3000], drawn(1, 900), drawn(8000, 7000)])
def test_what_cannot_be_looked_at_is_bad_input(words, data):
    with pytest.raises(InputError, match=r"label\.png"):
        Renderer(*words, read=lambda file: data).picture(PICTURE)


def test_a_model_that_cannot_see_refuses_pictures(tmp_path):
    renderer = Renderer(*load_words(tiny_qwen2(tmp_path)), read=lambda file: BYTES)
    assert renderer.segmentable
    assert renderer.prompt([user("no picture")]).images == ()
    with pytest.raises(CheckpointError):
        renderer.prompt([user(PICTURE, "?")])


def test_a_template_that_drops_pictures_is_refused(words):
    with pytest.raises(CheckpointError, match="0 placeholders for 1 pictures"):
        blind = CHAT_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", "")
        renderer = with_template(words, blind)
        renderer.tokenizer.chat_template, before = blind, renderer.tokenizer.chat_template
        try:
            renderer.prompt([user(PICTURE, "?")])
        finally:
            renderer.tokenizer.chat_template = before


def test_a_checkpoint_without_a_template_is_refused(words):
    with pytest.raises(CheckpointError, match="no chat template"):
        with_template(words, "")
