"""One metric's values as a script beside the page: 16 significant bits each, deflated; it works from a file as well."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from jinja2.utils import htmlsafe_json_dumps

from segbench.reporting.evidence import Floats, MetricEvidence
from segbench.reporting.statuses import Place

_ROUND, _KEPT = 0x80, 0xFFFFFF00
"""Of single precision the lowest eight of 32 bits are rounded away: 4.8 decimal digits stay."""


def values_script(
    index: int,
    evidence: MetricEvidence,
    board: str,
    axes: tuple[Sequence[str], Sequence[str]],
    odd: Mapping[Place, str],
) -> str:
    """Return the script that hands one metric's values to the page.

    It calls ``segbench.receive(index, document)`` with the document's ``labels``; ``values``, the packed
    ``(L, n, K)``; ``mean``, their packed ``(n, K)`` over labels; and ``status``: text -> positions in ``values``.

    Args:
        index: of the metric on its page.
        evidence: its values.
        board: its name, ``dataset@revision``.
        axes: cases and methods.
        odd: statuses other than ok.
    """
    cases, methods = axes
    at = [{name: place for place, name in enumerate(names)} for names in (evidence.labels, cases, methods)]
    status: dict[str, list[int]] = {}
    for (its, metric, label, case, method), text in odd.items():
        if its == board and metric == evidence.metric and label in at[0] and case in at[1] and method in at[2]:
            position = (at[0][label] * len(cases) + at[1][case]) * len(methods) + at[2][method]
            status.setdefault(text, []).append(position)
    document = {
        "labels": list(evidence.labels),
        "values": packed(evidence.values),
        "mean": packed(evidence.per_case),
        "status": {text: sorted(positions) for text, positions in sorted(status.items())},
    }
    return f"segbench.receive({index}, {htmlsafe_json_dumps(document, separators=(',', ':'))});\n"


def packed(values: Floats) -> str:
    """Return numbers in single precision as three byte planes, lowest first, deflated, in base64; NaN is no value."""
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(values, dtype="<f4").ravel()
    bits = single.view("<u4")
    bits = np.where(np.isfinite(single), (bits + np.uint32(_ROUND)) & np.uint32(_KEPT), bits).astype("<u4")
    planes = bits.view(np.uint8).reshape(-1, 4)[:, 1:].T
    return base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode("ascii")


def unpacked(text: str) -> Floats:
    """Return the numbers that ``packed`` wrote, as the page's script reads them."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(3, -1)
    whole = np.zeros((planes.shape[1], 4), np.uint8)
    whole[:, 1:] = planes.T
    return whole.view("<f4").ravel().astype(float)
