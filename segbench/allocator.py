"""How the command line's own process and workers keep their memory; a library must not decide this for its host."""

from __future__ import annotations


def keep_pages() -> None:
    """Ask glibc to keep freed memory instead of returning it after every large temporary (measured: up to 1.9x)."""
    import ctypes
    import platform

    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4
    libc = ctypes.CDLL(None)
    libc.mallopt(mmap_max, 0)
    libc.mallopt(trim_threshold, 2**31 - 1)
    libc.mallopt(top_pad, 64 << 20)
