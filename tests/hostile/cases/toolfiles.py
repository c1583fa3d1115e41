"""Programs that make a file to break whichever tool reads it. The tools are the real ones, in their workers."""

from hostile.case import OK, Case

XLSX = """
import zipfile
sheet = ('<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
         + '<row><c t="inlineStr"><is><t>' + 'A' * 1000 + '</t></is></c></row>' * {rows} + '</sheetData></worksheet>')
with zipfile.ZipFile('bomb.xlsx', 'w', zipfile.ZIP_DEFLATED) as z:
    z.writestr('[Content_Types].xml', '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>')
    z.writestr('xl/worksheets/sheet1.xml', sheet)
"""

PNG = """
import struct, zlib
def chunk(t, d): return struct.pack('>I', len(d)) + t + d + struct.pack('>I', zlib.crc32(t + d))
open('bomb.png', 'wb').write(b'\\x89PNG\\r\\n\\x1a\\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 100_000, 100_000, 1, 0, 0, 0, 0))
    + chunk(b'IDAT', zlib.compress(bytes(10 ** 6))) + chunk(b'IEND', b''))
"""

PDF = """
body = b'%PDF-1.4\\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\\n2 0 obj<</Type/Pages/Kids[2 0 R 2 0 R 3 0 R]/Count 3>>endobj\\n'
body += b'3 0 obj<</Type/Page/Parent 3 0 R/Contents 4 0 R/Resources 3 0 R>>endobj\\n4 0 obj<</Length 4 0 R>>stream\\nx\\nendstream endobj\\n'
body += b'xref\\n0 5\\n0000000000 65535 f \\n' + b'0000000009 00000 n \\n' * 4 + b'trailer<</Root 1 0 R/Size 5/Prev 9>>\\nstartxref\\n%d\\n%%%%EOF' % len(body)
open('loop.pdf', 'wb').write(body)
"""

ENTITIES = """
import zipfile
xml = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "AAAAAAAAAA">' + ''.join(
    '<!ENTITY %s "%s">' % (chr(98 + i), ('&%s;' % chr(97 + i)) * 10) for i in range(9)) + ']><w:document>&j;</w:document>'
with zipfile.ZipFile('entities.docx', 'w') as z:
    z.writestr('[Content_Types].xml', '<Types/>'); z.writestr('word/document.xml', xml)
"""


def asks(made: str, tool: str, name: str) -> str:
    """Make the file, hand it to the tool, and show what came of it."""
    return f"{made}\ntry: print('answer', str({tool}({name!r}))[:200])\nexcept Exception as e: print('said no:', type(e).__name__, str(e)[:300])"


CASES = [
    Case(
        "spreadsheet_bomb",
        asks(XLSX.format(rows=30_000), "inspect_file_as_text", "bomb.xlsx"),
        OK,
        says="said no",
        real_tools=True,
    ),
    Case(
        "picture_of_100000_by_100000",
        asks(PNG, "crop_or_count", "bomb.png").replace("crop_or_count", "count"),
        OK,
        says="said no",
        real_tools=True,
    ),
    Case(
        "pdf_that_refers_to_itself",
        asks(PDF, "inspect_file_as_text", "loop.pdf"),
        OK,
        says="said no|answer",
        real_tools=True,
    ),
    Case(
        "entities_in_a_document",
        asks(ENTITIES, "inspect_file_as_text", "entities.docx"),
        OK,
        says="said no|answer",
        real_tools=True,
    ),
    Case(
        "empty_file",
        asks("open('empty.pdf', 'w').close()", "inspect_file_as_text", "empty.pdf"),
        OK,
        says="said no|answer",
        real_tools=True,
    ),
    Case(
        "file_of_200_mb",
        asks("open('big.csv', 'wb').truncate(200 << 20)", "inspect_file_as_text", "big.csv"),
        ("ok", "error", "died"),
        says="said no|Error|died",
        real_tools=True,
    ),
    Case(
        "page_that_wants_the_network",
        asks(
            "open('x.html', 'w').write('<img src=http://127.0.0.1:@PORT@/x><iframe src=file://@CANARY@></iframe>')",
            "inspect_file_as_text",
            "x.html",
        ),
        OK,
        says="said no|answer",
        real_tools=True,
    ),
]
