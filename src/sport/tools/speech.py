"""Sound as text: decoded by soundfile, resampled by scipy, transcribed by transformers (extra ``audio``)."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from sport.errors import ToolError
from sport.tools.base import FileBytes

MOST_S = 1800  # seconds of sound that are read; half an hour of speech has about as many characters as a tool returns
WINDOW_S = 30  # what a model hears at once; longer sound goes through it in windows that overlap
BLOCK = 1 << 16  # frames that are decoded at once: channels are mixed before the next come
RATES = range(1000, 400_000)  # samples a second that a file may claim
MOST_CHANNELS = 64

Samples = np.ndarray[Any, np.dtype[np.float32]]


def is_sound(file: FileBytes) -> bool:
    """Whether a file is sound, by what it says of itself or by how it begins (WAV, FLAC, Ogg, tagged MP3)."""
    data = file.data
    return (
        file.media_type.lower().startswith("audio/")
        or data[:5] == b"OggS\0"
        or data[:4] == b"fLaC"
        or (data[:4] == b"RIFF" and data[8:12] == b"WAVE")
        or (data[:3] == b"ID3" and data[3:4] < b"\x10")  # a version, not the name of a column
    )


def samples(data: bytes, rate: int) -> tuple[Samples, float]:
    """One channel (samples,) at ``rate`` a second, at most ``MOST_S`` of it, and the seconds that the file has.

    Channels are averaged.

    Raises:
        ImportError: soundfile or scipy is not installed.
        ToolError: soundfile cannot decode it, or it has no samples.
    """
    import scipy.signal
    import soundfile

    parts: list[Samples] = []
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            given, seconds = sound.samplerate, sound.frames / sound.samplerate
            if given not in RATES or sound.channels > MOST_CHANNELS:
                raise ToolError(f"{given} samples a second in {sound.channels} channels is no sound that can be read")
            left = MOST_S * given
            while left > 0:
                block = sound.read(min(BLOCK, left), dtype="float32", always_2d=True)  # (frames, channels)
                if not len(block):
                    break
                parts.append(block.mean(axis=1))
                left -= len(block)
    except soundfile.SoundFileError as error:
        raise ToolError(f"the file cannot be read as sound ({error})") from error
    if not parts:
        raise ToolError("there is no sound in the file")
    mono = np.nan_to_num(np.concatenate(parts))
    if given != rate:
        common = math.gcd(rate, given)
        mono = scipy.signal.resample_poly(mono, rate // common, given // common)
    return np.ascontiguousarray(mono, dtype=np.float32), seconds


class Speech:
    """transformers' automatic-speech-recognition pipeline over a local checkpoint (Whisper, wav2vec 2, ...).

    Args:
        weights: directory of a checkpoint that the pipeline takes.
        device: "cpu", "cuda", "cuda:1", ...

    Raises:
        ImportError: transformers or torch is not installed.
        OSError, ValueError, ...: no such checkpoint lies there.

    Not covered: who speaks, and when; a language is told apart by the model, and not translated.
    """

    def __init__(self, weights: str, device: str = "cpu") -> None:
        import transformers

        self._pipeline: Any = transformers.pipeline("automatic-speech-recognition", model=weights, device=device)
        ears: Any = self._pipeline.feature_extractor
        self._rate = int(ears.sampling_rate)
        self._window = min(WINDOW_S, getattr(ears, "chunk_length", None) or WINDOW_S)

    def read(self, file: FileBytes) -> str:
        """What is said; of a long file the beginning. Raises as :func:`samples`."""
        heard, seconds = samples(file.data, self._rate)
        # Windows of our own length and not Whisper's long form, which may never end when its time marks stand still.
        long = len(heard) > self._window * self._rate
        windows = {"chunk_length_s": self._window, "ignore_warning": True} if long else {}
        text = str(self._pipeline({"raw": heard, "sampling_rate": self._rate}, **windows)["text"]).strip()
        if not text:
            raise ToolError("no words were heard in it")
        return text if seconds <= MOST_S else f"{text}\n[cut: {MOST_S} of {seconds:.0f} seconds]"
