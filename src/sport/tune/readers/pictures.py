"""Pictures of a data set as :class:`~sport.types.File` records, whose bytes are read again when they are needed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import PIL.Image

from sport.errors import InputError
from sport.types import File


class Pictures:
    """Where the bytes of every picture are.

    Those that come by path stay where they are; those that come as bytes (parquet, base64, Pillow objects) are put into
    a temporary directory, by content, which goes when this object goes.

    ``root`` is where relative paths start from, in place of the data file's own directory.
    """

    def __init__(self, root: Path | None = None) -> None:
        self._root = root
        self._paths: dict[str, Path] = {}
        self._known: dict[Path, File] = {}
        self._spill: Path | None = None

    def __contains__(self, file: File) -> bool:
        """Whether these are the place of a picture's bytes."""
        return file.sha256 in self._paths

    def read(self, file: File) -> bytes:
        """Bytes by content; what a Renderer asks for. Raises InputError if the file was changed or went away."""
        path = self._paths[file.sha256]
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: the picture cannot be read any more ({error.strerror})") from error
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise InputError(f"{path}: the picture was changed while it was in use; start again")
        return data

    def add(self, value: Any, where: str, folder: Path) -> File:
        """A picture as data sets hold it: a path, a data URI, ``{"bytes", "path"}`` or a Pillow image.

        Raises:
            InputError: it is none of these, is not there, or Pillow does not know it; ``where`` is named.
        """
        if isinstance(value, Mapping):
            if value.get("bytes") is not None:
                return self._bytes(bytes(value["bytes"]), str(value.get("path") or "picture"), where)
            value = value.get("path") or value.get("url")
        if isinstance(value, PIL.Image.Image):
            out = io.BytesIO()
            value.convert("RGB").save(out, "PNG")
            return self._bytes(out.getvalue(), "picture.png", where)
        if isinstance(value, str) and value.startswith("data:"):
            try:
                return self._bytes(base64.b64decode(value.partition(",")[2], validate=True), "picture", where)
            except binascii.Error as error:
                raise InputError(f"{where}: a picture's data URI is broken ({error})") from error
        if isinstance(value, str | Path) and "://" not in str(value):
            return self._path(Path(value), where, self._root or folder)
        raise InputError(f"{where}: a picture is {str(value)[:80]!r}; expected a path on this machine, or its bytes")

    def _path(self, path: Path, where: str, folder: Path) -> File:
        whole = path if path.is_absolute() else folder / path
        if whole not in self._known:
            try:
                data = whole.read_bytes()
            except OSError as error:
                raise InputError(
                    f"{where}: the picture {whole} is missing ({error.strerror}); say where pictures lie with --images"
                ) from error
            self._known[whole] = self._file(data, str(path), whole, where)
        return self._known[whole]

    def _bytes(self, data: bytes, name: str, where: str) -> File:
        if self._spill is None:
            self._spill = Path(tempfile.mkdtemp(prefix="sport-pictures-"))
            weakref.finalize(self, shutil.rmtree, self._spill, ignore_errors=True)
        path = self._spill / hashlib.sha256(data).hexdigest()
        file = self._file(data, name, path, where)
        if not path.exists():
            path.write_bytes(data)
        return file

    def _file(self, data: bytes, name: str, path: Path, where: str) -> File:
        try:
            with PIL.Image.open(io.BytesIO(data)) as opened:
                kind = (opened.format or "png").lower()
        except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
            unknown = isinstance(error, PIL.UnidentifiedImageError)  # its own words name an object in memory
            words = "no known picture format" if unknown else error
            raise InputError(f"{where}: {name} is not a picture that can be read ({words}); replace it") from error
        digest = hashlib.sha256(data).hexdigest()
        self._paths.setdefault(digest, path)
        return File(name=name, sha256=digest, size=len(data), media_type=f"image/{kind}")
