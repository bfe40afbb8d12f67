"""A console of rich that shows no text as anything but text, whoever it came from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.segment import Segment

from segbench.texts import plain


class Screen(Console):
    """Colours are the styles that rich adds itself; escape sequences within texts are shown, not sent."""

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """Yield the segments of anything printed, their texts without what would steer a terminal."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(plain(segment.text, lines=True), segment.style)
