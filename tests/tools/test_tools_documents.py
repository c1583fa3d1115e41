from __future__ import annotations

import io

import pandas as pd
import pytest

from conformance.tools import ToolSuite
from scenes import archive, file, label
from sport.errors import ToolError
from sport.tools.base import FileBytes
from sport.tools.documents import MOST, InspectFileAsText

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def spreadsheet() -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame({"stop": ["Harbour Street", "Mill Lane"], "minutes": [12, 25]}).to_excel(buffer, index=False)
    return buffer.getvalue()


class TestInspectFileAsText(ToolSuite):
    factory = InspectFileAsText

    @pytest.fixture(scope="class")
    @classmethod
    def arguments(cls):
        return {"file": FileBytes(b"stop,minutes\nHarbour Street,12\n", "text/csv")}

    def test_csv_becomes_a_table(self, tool, arguments):
        assert "| Harbour Street | 12 |" in tool.call(**arguments)

    def test_a_spreadsheet_becomes_a_table(self, tool):
        assert "| Mill Lane | 25 |" in tool.call(FileBytes(spreadsheet(), XLSX))

    def test_plain_text_stays_as_it_is(self, tool):
        text = "Caf\u00e9 Zw\u00f6lf: 3 \u20ac\nsecond line"
        assert tool.call(FileBytes(text.encode(), "text/plain")) == text

    def test_a_web_page_loses_its_markup(self, tool):
        assert (
            tool.call(FileBytes(b"<html><body><h1>Menu</h1><p>Soup</p></body></html>", "text/html")) == "# Menu\n\nSoup"
        )

    def test_a_pdf_gives_its_words(self, tool):
        canvas = pytest.importorskip("reportlab.pdfgen.canvas")
        buffer = io.BytesIO()
        page = canvas.Canvas(buffer)
        page.drawString(72, 720, "Invoice 4711")
        page.save()
        assert "Invoice 4711" in tool.call(FileBytes(buffer.getvalue(), "application/pdf"))

    def test_the_media_type_may_be_wrong(self, tool):
        assert "| Mill Lane | 25 |" in tool.call(FileBytes(spreadsheet(), "application/octet-stream"))

    def test_a_long_text_is_cut_and_says_so(self, tool):
        text = tool.call(FileBytes(b"words" * 10_000, "text/plain"))
        assert text.startswith("wordswords") and text.endswith(f"[cut: {MOST} of 50000 characters]")

    def test_a_picture_is_sent_to_ocr(self, tool):
        with pytest.raises(ToolError, match="ocr"):
            tool.call(file(label([("a", "b")])))

    def test_an_archive_is_not_unpacked(self, tool):
        with pytest.raises(ToolError):
            tool.call(FileBytes(archive({"a.txt": b"inside"}), "application/zip"))
