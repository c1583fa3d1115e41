"""``inspect_file_as_text``: spreadsheets, PDFs, office documents, web pages and text as Markdown, by MarkItDown.

Sound is transcribed where a speech model is set.
"""

from __future__ import annotations

import io
import mimetypes
from typing import ClassVar

from sport.errors import ToolError
from sport.tools.base import FileBytes
from sport.tools.speech import Speech, is_sound
from sport.types import Parameter, ToolSpec

MOST = 20_000  # characters

READERS = (
    "CsvConverter",
    "DocxConverter",
    "EpubConverter",
    "IpynbConverter",
    "PdfConverter",
    "PptxConverter",
    "XlsxConverter",
)
"""MarkItDown's readers that need the bytes and nothing else: none asks the network or starts a program."""

SOUND = "this is an audio file; whoever runs this makes it readable by pip install 'sport[audio,local]' and "
SETTING = 'tools.settings.inspect_file_as_text.options.speech = "DIR", a directory of openai/whisper-base'

CATCH_ALL = ("PlainTextConverter", "HtmlConverter")


class InspectFileAsText:
    """The first 20,000 characters of a document's text; tables become Markdown tables.

    Args:
        speech: directory of a speech-to-text checkpoint; without it audio files are refused.
        fingerprint: of those weights; it is part of the tool's version.
        device: of the speech model: "cpu", "cuda", "cuda:1", ...

    Not covered: pictures (``ocr`` reads those), scanned PDFs, video, archives, the old formats .xls and .doc.
    """

    spec: ClassVar[ToolSpec] = ToolSpec(
        name="inspect_file_as_text",
        description="Read a document (CSV, XLSX, PDF, DOCX, PPTX, HTML, text) as Markdown text.",
        parameters=(Parameter(name="file", type="file", description="a document"),),
        returns="its text",
        version="1",
    )

    def __init__(self, speech: str = "", fingerprint: str = "", device: str = "cpu") -> None:
        import markitdown
        import markitdown.converters

        self._weights = speech
        self._device = device
        self._speech: Speech | None = None
        self._refused = markitdown.MarkItDownException
        self._info = markitdown.StreamInfo
        self._reader = markitdown.MarkItDown(enable_builtins=False, enable_plugins=False)
        for names, priority in ((CATCH_ALL, 10.0), (READERS, 0.0)):  # the lower one is tried first
            for name in names:
                self._reader.register_converter(getattr(markitdown.converters, name)(), priority=priority)

    def call(self, file: FileBytes) -> str:
        """The text. Raises ToolError for a file of no known kind, a damaged one, a picture, sound without a model."""
        media_type = file.media_type.partition(";")[0].strip().lower()
        if media_type.startswith("image/"):
            raise ToolError("this is a picture; ocr reads the text in it")
        if is_sound(file):
            return _cut(self._heard(file))
        info = self._info(mimetype=media_type, extension=mimetypes.guess_extension(media_type))
        try:
            text: str = self._reader.convert_stream(io.BytesIO(file.data), stream_info=info).text_content
        except self._refused as error:
            raise ToolError(f"the file cannot be read as a document ({_first_line(error)})") from error
        return _cut(text)

    def _heard(self, file: FileBytes) -> str:
        """The model is loaded for the first audio file: documents do not wait for it."""
        if not self._weights:
            raise ToolError(SOUND + SETTING)
        try:
            self._speech = self._speech or self._load()
            return self._speech.read(file)
        except ImportError as error:
            raise ToolError(f"{SOUND}{SETTING} ({error})") from error

    def _load(self) -> Speech:
        try:
            return Speech(self._weights, self._device)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, AssertionError) as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ToolError(
                f"this is an audio file, and no speech model can be loaded from {self._weights} on {self._device} "
                f"({reason}); expected {SETTING}"
            ) from error


def _cut(text: str) -> str:
    return text if len(text) <= MOST else f"{text[:MOST]}\n[cut: {MOST} of {len(text)} characters]"


def _first_line(error: Exception) -> str:
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    return lines[1] if len(lines) > 1 else (lines or [type(error).__name__])[0]
