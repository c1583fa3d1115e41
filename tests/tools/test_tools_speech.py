"""Sound as text, by a tiny random Whisper that is put together here, saved, and loaded from disk."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sport import hosting, wire
from sport.config import Config, parse
from sport.errors import ToolError
from sport.store import Store
from sport.tools import sources, speech
from sport.tools.base import FileBytes
from sport.tools.documents import InspectFileAsText
from sport.tools.entry import Entry
from sport.tools.weights import NotReady

soundfile = pytest.importorskip("soundfile")
RATE = 16_000


def tone(seconds: float, rate: int = RATE, hertz: float = 440.0) -> Any:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def sound(samples: Any, rate: int = RATE, kind: str = "WAV") -> FileBytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind)
    return FileBytes(buffer.getvalue(), "application/octet-stream")


def configured(**options: Any) -> Config:
    settings = {"inspect_file_as_text": {"options": options, "memory_mb": 8192, "deadline_s": 300.0}}
    return parse({"tools": {"names": ["inspect_file_as_text"], "settings": settings, "workers": 1}}, "test")


def entry(**options: Any) -> Entry:
    (made,) = sources.entries(configured(**options).tools)
    return made


# --------------------------------------------------------------------------------------------------- sound


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_every_kind_of_file_becomes_one_channel_at_the_rate_of_the_model(kind: str) -> None:
    file = sound(np.stack([tone(1, 44_100), np.zeros(44_100)], axis=1), 44_100, kind)
    assert speech.is_sound(file) or kind == "MP3"  # an MP3 without a tag is known by its media type
    heard, seconds = speech.samples(file.data, RATE)
    assert seconds == pytest.approx(1, abs=0.1) and heard.dtype == np.float32
    assert len(heard) == pytest.approx(RATE, abs=0.1 * RATE)
    middle = heard[RATE // 4 : RATE // 4 + RATE // 2]  # half a second: rows of the spectrum are 2 Hz apart
    assert 2 * np.abs(np.fft.rfft(middle)).argmax() == 440
    assert np.abs(middle).max() == pytest.approx(0.25, abs=0.02)  # the mean of a tone of 0.5 and of silence


def test_only_sound_is_taken_for_sound() -> None:
    assert speech.is_sound(FileBytes(b"\xff\xfb", "audio/mpeg")) and speech.is_sound(FileBytes(b"ID3\x04", "a/b"))
    for data in (b"ID3,name\n1,2\n", b"RIFF1234WEBP", b"OggS?", b"", b"stop,minutes\n"):
        assert not speech.is_sound(FileBytes(data, "application/octet-stream"))


def test_what_cannot_be_decoded_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (b"RIFF\x00\x00\x00\x00WAVEnonsense", b"", b"fLaC" + bytes(50)):
        with pytest.raises(ToolError, match="cannot be read as sound"):
            speech.samples(data, RATE)
    with pytest.raises(ToolError, match="no sound in the file"):
        speech.samples(sound(np.zeros(0)).data, RATE)
    with pytest.raises(ToolError, match="500 samples a second in 1 channels"):
        speech.samples(sound(tone(1, 500), 500).data, RATE)
    monkeypatch.setattr(speech, "MOST_S", 2)
    heard, seconds = speech.samples(sound(tone(5)).data, RATE)
    assert (len(heard), seconds) == (2 * RATE, 5)


# ------------------------------------------------------------------------------------------------ messages


def test_without_a_model_or_its_library_the_file_is_named_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    way = r"this is an audio file; .* pip install 'sport\[audio,local\]' and tools\.settings\.inspect_file_as_text"
    with pytest.raises(ToolError, match=way + r'\.options\.speech = "DIR"'):
        InspectFileAsText().call(sound(tone(0.1)))
    monkeypatch.setitem(sys.modules, "soundfile", None)
    reader = InspectFileAsText("there")
    reader._speech = speech.Speech.__new__(speech.Speech)
    reader._speech._rate = RATE
    with pytest.raises(ToolError, match=way + ".*soundfile"):
        reader.call(sound(tone(0.1)))
    assert "| 1 |" in reader.call(FileBytes(b"a\n1\n", "text/csv"))


@pytest.mark.slow
def test_a_directory_without_a_speech_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"no speech model can be loaded from .* on cpu .*whisper-base"):
        InspectFileAsText(str(tmp_path)).call(sound(tone(0.1)))


def test_a_speech_model_is_part_of_the_tools_version_and_the_tool_is_ready_without(tmp_path: Path) -> None:
    plain = entry()
    assert plain.spec.version.startswith("1+markitdown-") and "soundfile" not in plain.spec.version
    (tmp_path / "model.safetensors").write_bytes(b"1")
    one = entry(speech=str(tmp_path))
    assert "soundfile-" in one.spec.version and "transformers-" in one.spec.version
    assert "audio file" in one.spec.description and "audio" not in plain.spec.description
    assert entry(speech=str(tmp_path), device="cuda:0").spec.version == one.spec.version
    assert (plain.limits.env, one.limits.group) == ((), "inspect_file_as_text")
    (tmp_path / "model.safetensors").write_bytes(b"2")
    assert entry(speech=str(tmp_path)).spec.version != one.spec.version
    with pytest.raises(NotReady, match=r"options\.speech: nothing lies at nowhere; get openai/whisper-base \("):
        entry(speech="nowhere")
    states = [one.state for one in hosting.survey(configured().tools) if one.name == "inspect_file_as_text"]
    assert states == ["ready"]


# --------------------------------------------------------------------------------------------- transcripts


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It hears one second at once, and writes letters."""
    import torch
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("whisper")
    end, marks = "<|endoftext|>", ("startoftranscript", "en", "translate", "transcribe", "startofprev", "notimestamps")
    letters = ["\u0120", *"abcdefghijklmnopqrstuvwxyz", end]
    special = [f"<|{mark}|>" for mark in marks]
    times = [f"<|{0.02 * step:.2f}|>" for step in range(51)]
    number = {word: place for place, word in enumerate([*letters, *special, *times])}
    (folder / "vocab.json").write_text(json.dumps({word: number[word] for word in letters}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = WhisperTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    tokenizer.add_tokens(times)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=8, chunk_length=1).save_pretrained(folder)
    ends = {"pad_token_id": number[end], "bos_token_id": number[end], "eos_token_id": number[end]}
    start = {"decoder_start_token_id": number[special[0]]}
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=len(number), num_mel_bins=8, d_model=16, encoder_layers=1, decoder_layers=1,
            encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16,
            max_source_positions=50, max_target_positions=24, init_std=0.5, begin_suppress_tokens=None, **ends, **start,
        )
    )  # fmt: skip
    model.generation_config = GenerationConfig(
        **ends, **start, is_multilingual=True, lang_to_id={"<|en|>": number["<|en|>"]}, max_length=20,
        task_to_id={"transcribe": number["<|transcribe|>"], "translate": number["<|translate|>"]},
        no_timestamps_token_id=number["<|notimestamps|>"], prev_sot_token_id=number["<|startofprev|>"],
        suppress_tokens=[*map(number.get, [end, *special, *times])],
    )  # fmt: skip
    model.save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")
def test_sound_is_read_as_transformers_reads_it(whisper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer

    reader = InspectFileAsText(str(whisper))
    file = sound(tone(0.9))
    said = reader.call(file)
    heard, _ = speech.samples(file.data, RATE)
    features = WhisperFeatureExtractor.from_pretrained(whisper)(heard, sampling_rate=RATE, return_tensors="pt")
    tokens = WhisperForConditionalGeneration.from_pretrained(whisper).generate(
        features.input_features,
        num_beams=5,  # what the pipeline does by itself, as OpenAI did
    )
    assert said == WhisperTokenizer.from_pretrained(whisper).decode(tokens[0], skip_special_tokens=True).strip()
    assert said and reader.call(file) == said
    assert reader.call(sound(tone(0.9), kind="FLAC")) == said
    assert reader.call(sound(np.random.default_rng(0).normal(0, 0.3, RATE))) != said
    longer = reader.call(sound(tone(3.5)))
    assert len(longer) > len(said)  # several windows
    monkeypatch.setattr(speech, "MOST_S", 1)
    assert reader.call(sound(tone(3.5))).endswith("[cut: 1 of 4 seconds]")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
async def test_a_worker_reads_sound(whisper: Path, tmp_path: Path) -> None:
    with Store.create(tmp_path, configured(speech=str(whisper))) as store:
        box = hosting.toolbox(store, wire.endpoint, store.config.tools)
        try:
            answered = await box.call("inspect_file_as_text", {"file": sound(tone(0.9))})
        finally:
            await box.stop()
    assert answered.error is None and answered.value == InspectFileAsText(str(whisper)).call(sound(tone(0.9)))
