"""What honest code must be able to do with libraries, files and tools."""

from hostile.case import OK, Case

SLOW = {"wall_s": 20.0}

CASES = [
    Case(
        "files",
        """
import pathlib
p = pathlib.Path('out'); p.mkdir()
(p / 'a.txt').write_text('hello')
sorted(str(q) for q in p.rglob('*'))
""",
        OK,
        value="['out/a.txt']",
        files=("out/a.txt",),
    ),
    Case(
        "temporary_files",
        """
import tempfile
with tempfile.TemporaryDirectory() as d:
    with open(d + '/x', 'w') as f: f.write('1')
with tempfile.TemporaryFile('w+') as f: f.write('2'); f.seek(0); s = f.read()
s
""",
        OK,
        value="'2'",
    ),
    Case(
        "shutil_and_zip",
        """
import shutil, zipfile
shutil.copy('note.txt', 'copy.txt')
with zipfile.ZipFile('z.zip', 'w') as z: z.write('copy.txt')
zipfile.ZipFile('z.zip').read('copy.txt')
""",
        OK,
        value="b'ours'",
    ),
    Case(
        "csv_json_sqlite",
        """
import csv, io, json, sqlite3
rows = list(csv.reader(io.StringIO('a,b\\n1,2')))
c = sqlite3.connect('d.db'); c.execute('create table t (x)'); c.execute('insert into t values (5)'); c.commit()
json.dumps(rows), c.execute('select x from t').fetchone()
""",
        OK,
        value="""('[["a", "b"], ["1", "2"]]', (5,))""",
    ),
    Case(
        "dates_and_decimals",
        """
import datetime, decimal, fractions, statistics, zoneinfo
datetime.date(2024, 2, 28) + datetime.timedelta(2), decimal.Decimal('0.1') * 3, fractions.Fraction(1, 3), statistics.median([1, 2, 4])
""",
        OK,
        value="(datetime.date(2024, 3, 1), Decimal('0.3'), Fraction(1, 3), 2)",
    ),
    Case(
        "hashes_and_uuids",
        """
import hashlib, uuid, secrets, base64
hashlib.sha256(b'x').hexdigest()[:8], len(str(uuid.uuid4())), len(secrets.token_hex(4)), base64.b64encode(b'x')
""",
        OK,
        value="('2d711642', 36, 8, b'eA==')",
    ),
    Case(
        "logging_and_warnings",
        """
import logging, warnings
logging.warning('careful'); warnings.warn('old'); 1
""",
        OK,
        value="1",
        says="careful",
    ),
    Case(
        "numpy",
        """
import numpy as np
a = np.arange(6).reshape(2, 3)
a.sum(), np.linalg.det(np.eye(3)), (a @ a.T).tolist()
""",
        OK,
        value="(np.int64(15), np.float64(1.0), [[5, 14], [14, 50]])",
        winner=True,
    ),
    Case(
        "numpy_solves",
        """
import numpy as np
rng = np.random.default_rng(0); m = rng.random((200, 200))
bool(np.allclose(m @ np.linalg.inv(m), np.eye(200)))
""",
        OK,
        value="True",
        winner=True,
        settings=SLOW,
    ),
    Case(
        "pandas",
        """
import pandas as pd
d = pd.DataFrame({'k': ['a', 'b', 'a'], 'v': [1, 2, 3]})
d.to_csv('d.csv', index=False)
pd.read_csv('d.csv').groupby('k').v.sum().to_dict()
""",
        OK,
        value="{'a': 4, 'b': 2}",
        files=("d.csv",),
        winner=True,
        settings=SLOW,
    ),
    Case(
        "pillow",
        """
from PIL import Image, ImageDraw
i = Image.new('RGB', (40, 30), 'white'); ImageDraw.Draw(i).rectangle((5, 5, 10, 10), fill='red'); i.save('p.png')
Image.open('p.png').getpixel((7, 7))
""",
        OK,
        value="(255, 0, 0)",
        files=("p.png",),
    ),
    Case(
        "matplotlib",
        """
import matplotlib.pyplot as plt
fig, ax = plt.subplots(); ax.bar(['a', 'b'], [1, 2]); fig.savefig('bar.png'); plt.close(fig)
""",
        OK,
        files=("bar.png",),
        settings=SLOW,
    ),
    Case(
        "scipy",
        """
import scipy.optimize
round(scipy.optimize.brentq(lambda v: v ** 2 - 2, 0, 2), 6)
""",
        OK,
        value="1.414214",
        winner=True,
        settings=SLOW,
    ),
    Case(
        "sympy",
        """
import sympy
s = sympy.symbols('s'); sympy.solve(s ** 2 - 5 * s + 6, s)
""",
        OK,
        value="[2, 3]",
        settings=SLOW,
    ),
    Case(
        "opencv",
        """
import cv2, numpy as np
i = np.zeros((20, 20, 3), np.uint8); cv2.circle(i, (10, 10), 5, (255, 255, 255), -1)
cv2.imwrite('c.png', i), int(cv2.GaussianBlur(i, (3, 3), 0)[10, 10, 0]), cv2.getNumThreads()
""",
        OK,
        value="(True, 255, 1)",
        winner=True,
        settings=SLOW,
    ),
    Case(
        "openpyxl",
        """
import openpyxl
w = openpyxl.Workbook(); w.active['A1'] = 5; w.save('w.xlsx')
openpyxl.load_workbook('w.xlsx').active['A1'].value
""",
        OK,
        value="5",
        files=("w.xlsx",),
        settings=SLOW,
    ),
    Case(
        "word",
        """
import docx
d = docx.Document(); d.add_paragraph('hello'); d.save('d.docx')
docx.Document('d.docx').paragraphs[0].text
""",
        OK,
        value="'hello'",
        files=("d.docx",),
        settings=SLOW,
    ),
    Case(
        "slides",
        """
import pptx
p = pptx.Presentation(); p.slides.add_slide(p.slide_layouts[0]).shapes.title.text = 'hello'; p.save('p.pptx')
pptx.Presentation('p.pptx').slides[0].shapes.title.text
""",
        OK,
        value="'hello'",
        settings=SLOW,
    ),
    Case(
        "reportlab",
        """
from reportlab.pdfgen import canvas
c = canvas.Canvas('r.pdf'); c.drawString(50, 50, 'hello'); c.save()
open('r.pdf', 'rb').read(4)
""",
        OK,
        value="b'%PDF'",
        files=("r.pdf",),
        settings=SLOW,
    ),
    Case("tool_by_position_and_name", "wait(0), wait(seconds=0, tag='named')", OK, value="('done', 'named')"),
    Case("tool_reads_a_file_just_made", "open('new.png', 'wb').write(b'12345'); size('new.png')", OK, value="5"),
    Case(
        "tool_that_says_no",
        """
try:
    refuse()
except ToolError as e: said = str(e)
said
""",
        OK,
        value="'no, thank you'",
    ),
    Case("help_on_a_tool", "help(wait)", OK, says="Answer late"),
    Case("answer", "final_answer({'total': 42, 'parts': [1, 2.5, None, True, 'x']})", OK),
]
