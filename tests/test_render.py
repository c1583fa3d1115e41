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


@pytest.fixture
def with_template(words):
    """A Renderer that writes by another chat template."""
    tokenizer, processor = words
    before = tokenizer.chat_template

    def make(template: str) -> Renderer:
        tokenizer.chat_template = template
        return Renderer(tokenizer, processor, lambda file: BYTES)

    yield make
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


QWEN2_VL = (  # Qwen2-VL-Instruct's own, without the branch for videos
    "{% set image_count = namespace(value=0) %}{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n{% else %}"
    "{% for content in message['content'] %}{% if content['type'] == 'image' or 'image' in content %}"
    "{% set image_count.value = image_count.value + 1 %}"
    "{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_the_template_of_qwen2_vl_is_segmentable(with_template):
    renderer = with_template(QWEN2_VL)
    turns = [user(PICTURE, "How much?"), action("ocr()"), user("Observation: 12", PICTURE)]
    parts = (*renderer.prompt(turns[:1]).ids, *renderer.completion("ocr()", True), *renderer.between(turns[2]).ids)
    assert renderer.segmentable and renderer.prompt(turns).ids == parts


@pytest.mark.parametrize(
    "content",
    ["message['content'] | trim", "message['content'] if loop.revindex <= 2 else message['content'][:9]"],
    ids=["strips", "shortens earlier ones"],
)
def test_a_template_that_changes_turns_is_not_segmentable(with_template, content):
    assert not with_template(CHAT_TEMPLATE.replace("message['content'] }}", content + " }}")).segmentable


def test_a_template_without_an_end_of_turn_is_refused(with_template):
    with pytest.raises(CheckpointError, match="special token"):
        with_template(CHAT_TEMPLATE.replace("<|im_end|>", "END"))


def test_a_checkpoint_without_a_template_is_refused(with_template):
    with pytest.raises(CheckpointError, match="no chat template"):
        with_template("")


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


def test_a_template_that_drops_pictures_is_refused(with_template):
    renderer = with_template(CHAT_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", ""))
    with pytest.raises(CheckpointError, match="0 placeholders for 1 pictures"):
        renderer.prompt([user(PICTURE, "?")])
