"""``inspect_file_as_text``: spreadsheets, PDFs, office documents, web pages and text as Markdown, by MarkItDown."""

from __future__ import annotations

import io
import mimetypes
from typing import ClassVar

from sport.errors import ToolError
from sport.tools.base import FileBytes
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

CATCH_ALL = ("PlainTextConverter", "HtmlConverter")


class InspectFileAsText:
    """The first 20,000 characters of a document's text; tables become Markdown tables.

    Not covered: pictures (``ocr`` reads those), scanned PDFs, sound, archives, the old formats .xls and .doc.
    """

    spec: ClassVar[ToolSpec] = ToolSpec(
        name="inspect_file_as_text",
        description="Read a document (CSV, XLSX, PDF, DOCX, PPTX, HTML, text) as Markdown text.",
        parameters=(Parameter(name="file", type="file", description="a document"),),
        returns="its text",
        version="1",
    )

    def __init__(self) -> None:
        import markitdown
        import markitdown.converters

        self._refused = markitdown.MarkItDownException
        self._info = markitdown.StreamInfo
        self._reader = markitdown.MarkItDown(enable_builtins=False, enable_plugins=False)
        for names, priority in ((CATCH_ALL, 10.0), (READERS, 0.0)):  # the lower one is tried first
            for name in names:
                self._reader.register_converter(getattr(markitdown.converters, name)(), priority=priority)

    def call(self, file: FileBytes) -> str:
        """The text. Raises ToolError when the file is of no known kind, damaged, or a picture."""
        media_type = file.media_type.partition(";")[0].strip().lower()
        if media_type.startswith("image/"):
            raise ToolError("this is a picture; ocr reads the text in it")
        info = self._info(mimetype=media_type, extension=mimetypes.guess_extension(media_type))
        try:
            text: str = self._reader.convert_stream(io.BytesIO(file.data), stream_info=info).text_content
        except self._refused as error:
            raise ToolError(f"the file cannot be read as a document ({_first_line(error)})") from error
        return text if len(text) <= MOST else f"{text[:MOST]}\n[cut: {MOST} of {len(text)} characters]"


def _first_line(error: Exception) -> str:
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    return lines[1] if len(lines) > 1 else (lines or [type(error).__name__])[0]
