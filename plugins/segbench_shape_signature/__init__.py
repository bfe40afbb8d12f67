"""Shape signatures (DLMIA 2018): a frozen network that knows the shape of a structure judges its segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segbench import Method, Metric, Study, hookimpl

if TYPE_CHECKING:
    from segbench_shape_signature.affine import affine_pair as affine_pair
    from segbench_shape_signature.distance import shape_loss as shape_loss
    from segbench_shape_signature.signature import SignatureNetwork as SignatureNetwork

_HOME = {"SignatureNetwork": "signature", "affine_pair": "affine", "shape_loss": "distance"}
__all__ = ["SignatureNetwork", "affine_pair", "shape_loss"]


@hookimpl
def segbench_methods() -> list[type[Method]]:
    """Return the method ``shape_signature``."""
    from segbench_shape_signature.method import ShapeSignature

    return [ShapeSignature]


@hookimpl
def segbench_metrics() -> list[type[Metric]]:
    """Return the metric ``signature_distance``."""
    from segbench_shape_signature.metric import SignatureDistance

    return [SignatureDistance]


@hookimpl
def segbench_studies() -> list[type[Study]]:
    """Return the recipe ``shape-signature`` and the studies of the paper's tables."""
    from segbench_shape_signature.study import Protocol, Table1, Table2

    return [Protocol, Table1, Table2]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'segbench_shape_signature' has no public name {name!r}")
    import importlib

    return getattr(importlib.import_module(f"segbench_shape_signature.{_HOME[name]}"), name)
