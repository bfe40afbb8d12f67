"""Submissions as ZIP files: written the same from the same run, read with distrust.

Nothing is ever unpacked by the archive's own paths: names must be one of three, or ``predictions/`` and a plain file
name; sizes are checked before and while reading.
"""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segbench.errors import DataInvalid, DataMissing, UsageError, safe_name
from segbench.files.headers import check_size
from segbench.results import RECORD, SCORES

MANIFEST = "submission.json"
PREDICTIONS = "predictions/"
FORMAT = 1
LARGEST_TEXT = 64 << 20
"""Bytes of a record or manifest at most."""
LARGEST_UNPACKED = 1 << 35
"""Bytes of all members together at most; predictions of more are handed over beside the submission."""
MOST_UNFOLDED, FREE = 20, 16 << 20
"""All members together may be this many times as large as the file, and this many bytes more: scores and predictions
are stored as they are, so that only what was made to fill a disk unfolds further."""
MOST_ROWS = 5_000_000
"""Rows of scores at most: Parquet folds a constant column to nothing."""
MOST_MEMBERS = 200_000
_PIECE = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_package(path: Path, texts: Mapping[str, bytes], files: Mapping[str, Path]) -> None:
    """Write an archive whose bytes depend on its contents only.

    Args:
        path: where; not atomic, use ``atomically``.
        texts: member -> its bytes.
        files: member -> the file it is copied from, uncompressed.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        for name, content in sorted(texts.items()):
            archive.writestr(_info(name), content, zipfile.ZIP_DEFLATED)
        for name, source in sorted(files.items()):
            info = _info(name)
            info.file_size = source.stat().st_size
            with source.open("rb") as stream, archive.open(info, "w") as target:
                while piece := stream.read(_PIECE):
                    target.write(piece)


def _most_unpacked(path: Path) -> int:
    """Return how many bytes the members of an archive may have together."""
    return min(LARGEST_UNPACKED, MOST_UNFOLDED * path.stat().st_size + FREE)


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.external_attr = 0o644 << 16
    return info


class Package:
    """An opened submission; use it in a ``with`` block.

    Attributes:
        path: the archive.
        members: name -> entry, all names checked.
        manifest: its ``submission.json``.
    """

    def __init__(self, path: Path) -> None:
        if path.exists() and not path.is_file():
            raise DataInvalid(f"{path}: expected a file of `segbench submit`, found a folder, a pipe or a device.")
        if not path.is_file():
            raise DataMissing(f"There is no submission at {path}. `segbench submit RUN` writes one.")
        try:
            self.archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise DataInvalid(f"{path}: expected a ZIP file of `segbench submit`, found: {error}.") from error
        self.path = path
        try:
            self.members = self._checked()
            self.manifest = self._manifest()
        except BaseException:
            self.archive.close()
            raise

    def __enter__(self) -> Package:
        return self

    def __exit__(self, *error: object) -> None:
        self.archive.close()

    def _checked(self) -> dict[str, zipfile.ZipInfo]:
        found: dict[str, zipfile.ZipInfo] = {}
        entries = self.archive.infolist()
        if len(entries) > MOST_MEMBERS:
            raise self.invalid(f"at most {MOST_MEMBERS:,} files", f"{len(entries):,}")
        for info in entries:
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.flag_bits & 1 or kind not in (0, stat.S_IFREG):
                raise self.invalid("plain files", f"{info.filename!r}, which is encrypted, a link or a folder")
            if info.filename in found:
                raise self.invalid("every name once", f"{info.filename!r} twice")
            if not _is_allowed(info.filename):
                raise self.invalid(f"{MANIFEST}, {RECORD}, {SCORES} and {PREDICTIONS}NAME", f"{info.filename!r}")
            check_size(self.path, info.file_size, max(1, info.compress_size), info.compress_type != zipfile.ZIP_STORED)
            found[info.filename] = info
        total = sum(info.file_size for info in found.values())
        if total > (most := _most_unpacked(self.path)):
            raise self.invalid(f"at most {most:,} bytes when unpacked", f"{total:,}")
        for name in (MANIFEST, RECORD, SCORES):
            if name not in found:
                raise self.invalid(f"a member {name}", "none")
        return found

    def _manifest(self) -> dict[str, Any]:
        try:
            manifest = json.loads(self.text(MANIFEST).decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise self.invalid(f"JSON in {MANIFEST}", str(error)) from error
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            version = manifest.get("format") if isinstance(manifest, dict) else None
            raise self.invalid(f"format {FORMAT} in {MANIFEST}", repr(version))
        rows = manifest.get("predictions")
        good = isinstance(rows, list) and all(
            isinstance(row, dict) and isinstance(row.get("file"), str) and isinstance(row.get("sha256"), str)
            for row in rows
        )
        files = manifest.get("files")
        if not good or not isinstance(files, dict) or not {RECORD, SCORES} <= set(files):
            raise self.invalid(f'"files" and "predictions" with their hashes in {MANIFEST}', "something else")
        return manifest

    def text(self, name: str) -> bytes:
        """Return a small member's bytes."""
        info = self.members[name] if hasattr(self, "members") else self.archive.getinfo(name)
        if info.file_size > LARGEST_TEXT:
            raise self.invalid(f"at most {LARGEST_TEXT:,} bytes in {name}", f"{info.file_size:,}")
        return b"".join(self._pieces(info))

    def unpack(self, name: str, target: Path) -> None:
        """Write one member to a file."""
        with target.open("wb") as stream:
            for piece in self._pieces(self.members[name]):
                stream.write(piece)

    def digest(self, name: str) -> str:
        """Return a member's SHA-256."""
        digest = hashlib.sha256()
        for piece in self._pieces(self.members[name]):
            digest.update(piece)
        return digest.hexdigest()

    def _pieces(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        left = info.file_size
        try:
            with self.archive.open(info) as stream:
                while piece := stream.read(_PIECE):
                    left -= len(piece)
                    if left < 0:
                        raise self.invalid(f"{info.file_size:,} bytes in {info.filename}", "more")
                    yield piece
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
            raise self.invalid(f"{info.filename} undamaged", str(error)) from error

    def invalid(self, expected: str, found: str) -> DataInvalid:
        """Return the error that says what is wrong with the archive."""
        return DataInvalid(f"{self.path}: expected {expected}, found {found}. Pack it again with `segbench submit`.")


def _is_allowed(name: str) -> bool:
    if name in (MANIFEST, RECORD, SCORES):
        return True
    try:
        return name.startswith(PREDICTIONS) and bool(safe_name(name.removeprefix(PREDICTIONS), "file"))
    except UsageError:
        return False
