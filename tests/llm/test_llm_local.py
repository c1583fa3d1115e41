"""The local engine on a tiny random Qwen2-VL, against transformers' own generate."""

from __future__ import annotations

import asyncio
import io

import PIL.Image
import pytest
import torch

from conformance.llm import LLMSuite, ask
from models import picture_file, tiny_adapter, tiny_qwen2, tiny_qwen2_vl
from sport.adapters import attach
from sport.checkpoint import Checkpoint, load
from sport.errors import CheckpointError, ContentError
from sport.llm.local import LocalLLM
from sport.types import File, Image, Message, Sampling, Text

PICTURES = dict(picture_file(seed, size)[::-1] for seed, size in enumerate([(112, 112), (200, 80), (60, 60)]))
FILES = [
    File(name=f"{i}.png", sha256=sha256, size=len(data), media_type="image/png")
    for i, (sha256, data) in enumerate(PICTURES.items())
]
GREEDY = Sampling(temperature=0, max_new_tokens=24)


def read(file: File) -> bytes:
    return PICTURES[file.sha256]


def show(words: str, *files: File) -> list[Message]:
    return [Message(role="user", parts=(*(Image(file=file) for file in files), Text(text=words)))]


CONVERSATIONS = [
    show("How many red circles are in the picture?", FILES[0]),
    ask("What?"),
    show("Compare: sugar 12 g", FILES[1], FILES[2]),
    [*ask("Hi"), Message(role="assistant", parts=(Text(text="x = 1"),)), *show("Observation: 250 kcal " * 9, FILES[2])],
    ask("How much sugar do three portions contain? " * 5),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_qwen2_vl(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def checkpoint(folder):
    torch.set_num_threads(1)
    return load(folder)


@pytest.fixture
def llm(checkpoint):
    return LocalLLM(checkpoint, read)


class TestLocalConforms(LLMSuite):
    pass


async def together(llm: LocalLLM, conversations, n: int, sampling: Sampling):
    async def lane(order):
        async with llm.lane():
            return await llm.sample(conversations[order], n, sampling.model_copy(update={"order": order}))

    return await asyncio.gather(*(lane(order) for order in range(len(conversations))))


def reference(checkpoint: Checkpoint, llm: LocalLLM, messages) -> str:
    """One conversation through transformers' generate, nothing of the engine in between."""
    prompt = llm.renderer.prompt(messages)
    ids = torch.tensor([prompt.ids])
    seen = {"mm_token_type_ids": (ids == llm.renderer.image_id).int()}
    if prompt.images:
        pictures = [llm.renderer.picture(file) for file in prompt.images]
        seen["pixel_values"] = torch.cat([torch.from_numpy(picture.pixels) for picture in pictures])
        seen["image_grid_thw"] = torch.tensor([picture.grid for picture in pictures])
    out = checkpoint.model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False, **seen
    )
    return llm.renderer.text(out[0, ids.shape[1] :].tolist())


async def test_a_mixed_batch_equals_generate_one_by_one(checkpoint, llm):
    batch = await together(llm, CONVERSATIONS, 1, GREEDY)
    wanted = [reference(checkpoint, llm, messages) for messages in CONVERSATIONS]
    assert [samples[0].text for samples in batch] == wanted
    assert len(set(wanted)) == len(wanted)


async def test_n_samples_share_one_prefill(checkpoint, llm):
    lengths = []
    embed = checkpoint.model.get_input_embeddings()
    handle = embed.register_forward_hook(lambda _, args, __: lengths.append(tuple(args[0].shape)))
    try:
        await together(llm, CONVERSATIONS[:3], 5, Sampling(max_new_tokens=6))
    finally:
        handle.remove()
    assert [shape for shape in lengths if shape[1] > 1] == [(3, max(shape[1] for shape in lengths))]
    assert (15, 1) in lengths


async def test_the_first_token_of_all_candidates_follows_one_distribution(llm):
    greedy = await llm.sample(CONVERSATIONS[0], 4, Sampling(temperature=0, max_new_tokens=1))
    assert len({(sample.text, sample.logprob) for sample in greedy}) == 1


async def test_a_single_pixel_is_really_seen(checkpoint, llm):
    picture = PIL.Image.open(io.BytesIO(PICTURES[FILES[0].sha256])).convert("RGB")
    picture.putpixel((50, 50), tuple(255 - x for x in picture.getpixel((50, 50))))
    out = io.BytesIO()
    picture.save(out, "PNG")
    changed = LocalLLM(checkpoint, lambda _: out.getvalue())
    before, after = [(await engine.sample(CONVERSATIONS[0], 1, GREEDY))[0] for engine in (llm, changed)]
    assert abs(before.logprob - after.logprob) > 1e-4


async def test_logprob_is_that_of_the_sampled_tokens_at_temperature_one(checkpoint, llm):
    sampling = Sampling(temperatures=(0.3, 1.5) * 20, top_k=100, max_new_tokens=3, seed=3)
    prompt = llm.renderer.prompt(CONVERSATIONS[4]).ids
    checked = 0
    for sample in await llm.sample(CONVERSATIONS[4], 40, sampling):
        written = llm.renderer.completion(sample.text, sample.finished)
        if len(written) != sample.usage.completion_tokens:
            continue  # a random model's tokens are not always those that its text would be cut into
        with torch.no_grad():
            logits = checkpoint.model(input_ids=torch.tensor([[*prompt, *written]])).logits[0]
        scores = logits[len(prompt) - 1 : -1].log_softmax(-1)
        assert sample.logprob == pytest.approx(float(scores[range(len(written)), written].sum()), abs=1e-3)
        checked += 1
    assert checked > 5


# ------------------------------------------------------------------------------------------------ seeds


async def test_texts_depend_on_seed_and_candidate_not_on_the_batch(checkpoint, llm):
    sampling = Sampling(temperature=1.0, max_new_tokens=16, seed=7)
    batch = await together(llm, CONVERSATIONS, 3, sampling)
    for order in (4, 0, 2):
        alone = await llm.sample(CONVERSATIONS[order], 3, sampling)
        assert [s.text for s in alone] == [s.text for s in batch[order]]
    assert len({s.text for s in batch[0]}) == 3
    other = await llm.sample(CONVERSATIONS[0], 3, sampling.model_copy(update={"seed": 8}))
    assert [s.text for s in other] != [s.text for s in batch[0]]


async def test_rows_are_bounded_and_the_split_changes_nothing(checkpoint, llm):
    small = LocalLLM(checkpoint, read, max_rows=5)
    sampling = Sampling(max_new_tokens=8)
    sizes = []
    generate = small._decoder.generate
    small._decoder.generate = lambda asks, *rest: sizes.append([ask.n for ask in asks]) or generate(asks, *rest)
    split, whole = await together(small, CONVERSATIONS, 2, sampling), await together(llm, CONVERSATIONS, 2, sampling)
    assert sizes == [[2, 2], [2, 2], [2]]
    assert [[s.text for s in row] for row in split] == [[s.text for s in row] for row in whole]


async def test_a_batch_mixes_n_and_temperature(llm):
    async def lane(order, n, temperature):
        async with llm.lane():
            sampling = Sampling(temperature=temperature, max_new_tokens=8, order=order)
            return await llm.sample(CONVERSATIONS[order], n, sampling)

    greedy, warm = await asyncio.gather(lane(0, 2, 0.0), lane(1, 4, 1.0))
    assert len({s.text for s in greedy}) == 1
    assert len({s.text for s in warm}) > 1


# --------------------------------------------------------------------------------------------- endings


async def test_a_text_cut_at_the_limit_is_not_finished(llm):
    sample = (await llm.sample(CONVERSATIONS[0], 1, Sampling(temperature=0, max_new_tokens=3)))[0]
    assert sample.finished is False
    assert sample.usage.completion_tokens == 3


async def test_the_end_of_turn_finishes_and_is_no_text(checkpoint, llm):
    samples = await llm.sample(CONVERSATIONS[1], 40, Sampling(temperature=2.0, max_new_tokens=60, seed=1))
    ended = [s for s in samples if s.finished]
    assert ended and len(ended) < 40
    assert not any("<|" in s.text for s in ended)
    assert all(s.usage.completion_tokens == 60 for s in samples if not s.finished)


async def test_a_stop_string_ends_the_text_before_it(llm):
    free = (await llm.sample(CONVERSATIONS[0], 1, GREEDY))[0]
    stop = free.text[5:8]
    cut = (await llm.sample(CONVERSATIONS[0], 1, GREEDY.model_copy(update={"stop": ("never", stop)})))[0]
    assert cut.text == free.text[: free.text.index(stop)]
    assert cut.finished
    assert cut.usage.completion_tokens < free.usage.completion_tokens


async def test_the_context_is_a_limit(llm):
    long = ask("7" * 970)
    room = 1024 - len(llm.renderer.prompt(long).ids)
    assert 0 < room < 60
    sample = (await llm.sample(long, 1, Sampling(temperature=0, max_new_tokens=200)))[0]
    assert sample.finished or sample.usage.completion_tokens == room
    with pytest.raises(ContentError, match="context 1024"):
        await llm.sample(ask("7" * 1020), 1, GREEDY)


async def test_a_picture_that_cannot_be_read_fails_its_own_request_only(checkpoint):
    junk = File(name="junk.png", sha256="0" * 64, size=4, media_type="image/png")
    llm = LocalLLM(checkpoint, lambda file: b"junk" if file is junk else read(file))

    async def lane(messages):
        async with llm.lane():
            return await llm.sample(messages, 1, GREEDY)

    bad, good = await asyncio.gather(lane(show("?", junk)), lane(CONVERSATIONS[0]), return_exceptions=True)
    assert isinstance(bad, ContentError) and "junk.png" in str(bad)
    assert good[0].text


async def test_prompt_tokens_are_charged_once(llm):
    samples = await llm.sample(CONVERSATIONS[0], 3, Sampling(max_new_tokens=4))
    assert [s.usage.prompt_tokens for s in samples] == [len(llm.renderer.prompt(CONVERSATIONS[0]).ids), 0, 0]


async def test_too_few_temperatures_are_a_mistake(llm):
    with pytest.raises(ValueError, match="2 temperatures"):
        await llm.sample(CONVERSATIONS[1], 3, Sampling(temperatures=(0.7, 1.2)))


# -------------------------------------------------------------------------------------------- event loop


async def test_the_event_loop_lives_on_while_the_model_works(llm):
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await llm.sample(CONVERSATIONS[0], 8, Sampling(max_new_tokens=60))
    ticking.cancel()
    assert ticks > 3


async def test_work_that_nobody_waits_for_is_given_up(checkpoint):
    llm = LocalLLM(checkpoint, read)
    steps = 0
    step = llm._decoder._step

    def counted(*args):
        nonlocal steps
        steps += 1
        return step(*args)

    llm._decoder._step = counted
    asking = asyncio.create_task(llm.sample(ask("a"), 4, Sampling(max_new_tokens=900, top_k=5, temperature=0.2)))
    while steps == 0:
        await asyncio.sleep(0.001)
    asking.cancel()
    assert (await llm.sample(ask("b"), 1, Sampling(max_new_tokens=1)))[0].usage.completion_tokens == 1
    assert steps < 400


# ---------------------------------------------------------------------------------------------- adapters


async def test_adapters_change_and_none_restores_exactly(folder, checkpoint, tmp_path):
    llm = LocalLLM(checkpoint, read)
    a, b = (tiny_adapter(tmp_path / name, folder, seed=seed) for seed, name in enumerate("ab"))
    weights = {name: weight.clone() for name, weight in checkpoint.model.state_dict().items()}
    said = []
    for adapter in (None, a, b, a, None):
        await llm.use(adapter)
        said.append((await llm.sample(CONVERSATIONS[0], 1, GREEDY))[0])
    plain, with_a, with_b, again, after = said
    assert with_a == again and plain == after
    assert len({plain.text, with_a.text, with_b.text}) == 3
    assert (plain.source, with_a.source) == (folder.name, f"{folder.name}+a")
    now = checkpoint.model.state_dict()
    assert now.keys() == weights.keys() and all(torch.equal(now[name], weights[name]) for name in now)


async def test_merged_equals_attached(folder, tmp_path):
    adapter = tiny_adapter(tmp_path / "a", folder)
    merged, beside = LocalLLM(load(folder), read), load(folder)
    await merged.use(adapter)
    attach(beside.model, adapter)
    one, two = [(await engine.sample(CONVERSATIONS[0], 1, GREEDY))[0] for engine in (merged, LocalLLM(beside, read))]
    assert one.text == two.text
    assert one.logprob == pytest.approx(two.logprob, abs=1e-3)


async def test_a_broken_adapter_leaves_the_plain_model(folder, checkpoint, tmp_path):
    llm = LocalLLM(checkpoint, read)
    plain = await llm.sample(CONVERSATIONS[0], 1, GREEDY)
    await llm.use(tiny_adapter(tmp_path / "a", folder))
    other = tiny_qwen2_vl(tmp_path / "other", hidden=32)
    with pytest.raises(CheckpointError, match="does not fit"):
        await llm.use(tiny_adapter(tmp_path / "b", other))
    assert await llm.sample(CONVERSATIONS[0], 1, GREEDY) == plain


# ------------------------------------------------------------------------------------------ other models


async def test_a_text_only_model_equals_its_own_generate(tmp_path):
    checkpoint = load(tiny_qwen2(tmp_path / "text"))
    llm = LocalLLM(checkpoint, read)
    questions = [CONVERSATIONS[1], CONVERSATIONS[4]]
    batch = await together(llm, questions, 1, GREEDY)
    for messages, samples in zip(questions, batch, strict=True):
        ids = torch.tensor([llm.renderer.prompt(messages).ids])
        out = checkpoint.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False
        )
        assert samples[0].text == llm.renderer.text(out[0, ids.shape[1] :].tolist())


async def test_sixteen_bit_weights_answer_too(folder, tmp_path):
    llm = LocalLLM(load(folder, dtype="bfloat16"), read)
    plain = await llm.sample(CONVERSATIONS[0], 2, GREEDY)
    await llm.use(tiny_adapter(tmp_path / "a", folder))
    tuned = await llm.sample(CONVERSATIONS[0], 2, GREEDY)
    await llm.use(None)
    assert plain[0].text != tuned[0].text
    assert await llm.sample(CONVERSATIONS[0], 2, GREEDY) == plain
