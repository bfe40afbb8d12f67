"""Digests of bytes: SHA-256 where something is vouched for, CRC-32 where bit rot and cuts must be seen fast."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

_PIECE = 1 << 20


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def checksum(content: bytes) -> str:
    """Return the CRC-32 of some bytes, eight hexadecimal digits; it is twice as fast as SHA-256."""
    return f"{zlib.crc32(content):08x}"


def file_checksum(path: Path) -> str:
    """Return the CRC-32 of a file's bytes and how many there are, ``<eight digits>-<bytes>``."""
    crc, size = 0, 0
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            crc, size = zlib.crc32(piece, crc), size + len(piece)
    return f"{crc:08x}-{size}"
