"""The pixel losses every method may build on: cross-entropy and soft Dice on hard targets with unknown voxels.

Conventions: logits ``(B, K, *S)``, any floating dtype; target int64 ``(B, *S)`` with ``-1`` = unknown, which neither
loss nor gradient sees. No one-hot tensor is ever made: what the losses need of the truth is one gather and K sums.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

if TYPE_CHECKING:
    from segbench.types import LabelMap

SMOOTH = 1e-5
"""Added to numerator and denominator of soft Dice, in voxels."""


class PixelTerms(NamedTuple):
    """What the pixel losses are made of, from one softmax.

    Attributes:
        probabilities: ``(B, K, *S)``, at least float32, for a method's further terms.
        cross_entropy: scalar, see ``cross_entropy``.
        overlap: ``(B, K)``, sum over the known voxels of p_k y_k.
        mass: ``(B, K)``, sum over the known voxels of p_k.
        truth: ``(B, K)``, known voxels of label k.
    """

    probabilities: torch.Tensor
    cross_entropy: torch.Tensor
    overlap: torch.Tensor
    mass: torch.Tensor
    truth: torch.Tensor

    def dice_loss(self, *, background: bool = False, per_sample: bool = False, smooth: float = SMOOTH) -> torch.Tensor:
        """Return ``soft_dice_loss`` of the same logits."""
        sums = (self.overlap, self.mass, self.truth)
        if not per_sample:
            sums = tuple(value.sum(0, keepdim=True) for value in sums)  # type: ignore[assignment]  # (1, K) each
        overlap, mass, truth = (value if background else value[:, 1:] for value in sums)
        present = truth > 0
        loss = torch.where(present, 1 - _dice(overlap, mass, truth, smooth), torch.zeros_like(mass))
        return loss.sum() / present.sum().clamp(min=1)


def pixel_terms(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None) -> PixelTerms:
    """Return probabilities, cross-entropy and the sums of soft Dice from one softmax and with one gradient.

    Cheaper than the sum of its parts: two tensors of the logits' size in all, where autograd would keep or make seven.

    Args:
        logits: ``(B, K, *S)``; half precision is raised to float32; contiguous or channels-last.
        target: int64 ``(B, *S)``, values ``-1 .. K-1``.
        weight: class weights ``(K,)`` of the cross-entropy, or None for equal ones.
    """
    if weight is None:
        weight = torch.ones(logits.shape[1], device=logits.device)
    flat, *sums = _PixelTerms.apply(logits.flatten(2), target.flatten(1), weight)  # type: ignore[no-untyped-call]
    return PixelTerms(flat.unflatten(2, logits.shape[2:]), *sums)


def cross_entropy(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """Return the mean cross-entropy over the known voxels.

    Equation: ``- sum_x w[y_x] log softmax(z_x)[y_x] / sum_x w[y_x]``; 0 with zero gradient where no voxel is known.

    Args:
        logits: ``(B, K, *S)``; half precision is raised to float32.
        target: int64 ``(B, *S)``, values ``-1 .. K-1``.
        weight: class weights ``(K,)``, or None for equal ones.

    Returns:
        A scalar, float32 (float64 for float64 logits).
    """
    return pixel_terms(logits, target, weight).cross_entropy


def soft_dice(
    probabilities: torch.Tensor, target: torch.Tensor, *, per_sample: bool = False, smooth: float = SMOOTH
) -> torch.Tensor:
    """Return the soft Dice coefficient of every label, over the batch as one volume or per sample.

    Equation: ``(2 sum_x p_k(x) y_k(x) + s) / (sum_x p_k(x) + sum_x y_k(x) + s)``, x over the known voxels: the form of
    Drozdzal et al. 2016 with a linear denominator. A label that the truth lacks scores ``s / (sum_x p_k(x) + s)``: 1
    only if hardly any of it is predicted, since s is far less than a voxel; a probability of 5e-5 in each of 64³ voxels
    makes 8e-7 of it. One minus this is no loss for such labels: it is about 1 whatever is predicted, with hardly a
    gradient. ``soft_dice_loss`` leaves them out.

    Args:
        probabilities: ``(B, K, *S)``, softmax output.
        target: int64 ``(B, *S)``, ``-1`` = unknown.
        per_sample: one value per sample instead of one over the batch.
        smooth: s, in voxels.

    Returns:
        ``(K,)``, or ``(B, K)`` if ``per_sample``; background is index 0.

    Source: 10.1007/978-3-319-46976-8_19, equation 1.
    """
    flat = _at_least_float32(probabilities).flatten(2)  # (B, K, N)
    overlap, mass, truth = _LabelSums.apply(flat, target.flatten(1))  # type: ignore[no-untyped-call]  # (B, K) each
    if not per_sample:
        overlap, mass, truth = overlap.sum(0), mass.sum(0), truth.sum(0)  # (K,)
    return _dice(overlap, mass, truth, smooth)


def soft_dice_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    background: bool = False,
    per_sample: bool = False,
    smooth: float = SMOOTH,
) -> torch.Tensor:
    """Return one minus the mean soft Dice of the labels that the truth shows.

    The batch is one volume by default ("batch Dice"), which is stabler for labels that are small or missing from some
    samples. Labels without a known voxel in the truth are left out of the mean, so that they neither reward nor punish,
    whatever is predicted of them: 0 with zero gradient where there is none. False positives of an absent label are left
    to the labels they displace, and to a cross-entropy beside this loss.

    Args:
        logits: ``(B, K, *S)``; half precision is raised to float32.
        target: int64 ``(B, *S)``, ``-1`` = unknown.
        background: whether label 0 takes part.
        per_sample: Dice of each sample instead of the batch.
        smooth: see ``soft_dice``.

    Returns:
        A scalar between 0 and 1, float32 (float64 for float64 logits).

    Source: Isensee et al. 2021, 10.1038/s41592-020-01008-z (nnU-Net: foreground, softmax, optional batch Dice).

    Differences: nnU-Net and MONAI keep absent labels in the mean, where their Dice is a constant of about 0, as if they
    were missed.
    """
    terms = pixel_terms(logits, target)
    return terms.dice_loss(background=background, per_sample=per_sample, smooth=smooth)


def median_frequency_weights(truths: Iterable[LabelMap], labels: int) -> torch.Tensor:
    """Return class weights by median frequency balancing: ``w_k = median(f) / f_k``, float32 ``(K,)``.

    ``f_k`` = voxels of label k / known voxels of the truths that show k. A label that no truth shows gets weight 1.

    Args:
        truths: training label maps; ``-1`` is not counted.
        labels: K, background included.

    Source: Eigen and Fergus 2015, 10.1109/ICCV.2015.304, section 6.3.2.
    """
    voxels = torch.zeros(labels, dtype=torch.float64)
    seen = torch.zeros(labels, dtype=torch.float64)
    for truth in truths:
        values = torch.as_tensor(truth.array.ravel().astype("int64"))
        counts = torch.bincount(values[values >= 0], minlength=labels).double()
        voxels += counts
        seen += counts.sum() * (counts > 0)
    shown = voxels > 0
    weights = torch.ones(labels, dtype=torch.float64)
    if shown.any():
        frequency = voxels[shown] / seen[shown]
        weights[shown] = frequency.quantile(0.5) / frequency
    return weights.float()


def _at_least_float32(values: torch.Tensor) -> torch.Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _dice(overlap: torch.Tensor, mass: torch.Tensor, truth: torch.Tensor, smooth: float) -> torch.Tensor:
    return (2 * overlap + smooth) / (mass + truth + smooth)


def _binned(values: torch.Tensor, index: torch.Tensor, labels: int) -> torch.Tensor:
    """Sum values ``(B, N)`` into the bins named by index ``(B, N)``: ``(B, K)``, accumulated in float64 if possible."""
    exact = values.dtype if values.device.type == "mps" else torch.float64
    bins = torch.zeros((values.shape[0], labels), dtype=exact, device=values.device)
    return bins.scatter_add_(1, index, values.to(exact)).to(values.dtype)


def _label_sums(flat: torch.Tensor, index: torch.Tensor, known: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return overlap, mass and truth ``(B, K)``; flat ``(B, K, N)``, index and known ``(B, N)``."""
    at_truth = flat.gather(1, index[:, None])[:, 0] * known
    mass = torch.bmm(flat, known[:, :, None])[:, :, 0]
    return _binned(at_truth, index, flat.shape[1]), mass, _binned(known, index, flat.shape[1])


def _labels_last(flat: torch.Tensor) -> bool:
    """Say whether ``(B, K, N)`` lies in memory as ``(B, N, K)``, as channels-last networks leave it."""
    return flat.shape[1] > 1 and flat.stride(1) == 1 and flat.transpose(1, 2).is_contiguous()


def _softmax_backward(gradient: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
    """Return p (g - sum_k p_k g_k), both ``(B, K, N)``, in the memory layout of the probabilities."""
    if not _labels_last(probabilities):
        return torch._softmax_backward_data(gradient, probabilities, 1, probabilities.dtype)
    swapped = gradient.transpose(1, 2), probabilities.transpose(1, 2)
    return torch._softmax_backward_data(*swapped, 2, probabilities.dtype).transpose(1, 2)


class _LabelSums(torch.autograd.Function):
    """Sums over x of p_k y_k, p_k and y_k; the truth enters by one gather and K-bin sums, not by a one-hot tensor."""

    @staticmethod
    def forward(ctx: Any, flat: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with torch.autocast(flat.device.type, enabled=False):
            known = (target >= 0).to(flat.dtype)  # (B, N)
            index = target.clamp(min=0)
            overlap, mass, truth = _label_sums(flat, index, known)
        ctx.save_for_backward(index, known)
        ctx.mark_non_differentiable(truth)
        return overlap, mass, truth

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, overlap: torch.Tensor, mass: torch.Tensor, _: Any) -> tuple[torch.Tensor, None]:
        index, known = ctx.saved_tensors
        gradient = mass[:, :, None] * known[:, None]  # (B, K, N)
        gradient.scatter_add_(1, index[:, None], (overlap.gather(1, index) * known)[:, None])
        return gradient, None


class _PixelTerms(torch.autograd.Function):
    """Softmax, cross-entropy and the sums of soft Dice, with the gradient of all of them written once.

    With a_k, o_k, c the gradients of mass, overlap and (weighted, per voxel) cross-entropy, and t the true label:
    ``dz_k = p_k (a_k + c - sum_j a_j p_j - o_t p_t) + [k = t] (o_t p_t - c)`` at known voxels; a gradient that arrives
    for p itself is added through the softmax.
    """

    @staticmethod
    def forward(ctx: Any, flat: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
        dtype = torch.float32 if flat.dtype in (torch.float16, torch.bfloat16) else flat.dtype
        with torch.autocast(flat.device.type, enabled=False):
            if _labels_last(flat):
                logarithm = torch.log_softmax(flat.transpose(1, 2), 2, dtype=dtype).transpose(1, 2)
            else:
                logarithm = torch.log_softmax(flat, 1, dtype=dtype)
            known = (target >= 0).to(dtype)  # (B, N)
            index = target.clamp(min=0)
            share = weight.to(logarithm)[index] * known
            share /= torch.where((total := share.sum()) > 0, total, torch.ones_like(total))
            entropy = -(logarithm.gather(1, index[:, None])[:, 0] * share).sum()
            probabilities = logarithm.exp_()
            overlap, mass, truth = _label_sums(probabilities, index, known)
        ctx.save_for_backward(probabilities, index, known, share)
        ctx.mark_non_differentiable(truth)
        ctx.set_materialize_grads(False)
        return probabilities, entropy, overlap, mass, truth

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[torch.Tensor | None, None, None]:
        probabilities, index, known, share = ctx.saved_tensors
        onward, entropy, overlap, mass, _ = gradients
        result = None if onward is None else _softmax_backward(onward, probabilities)
        if entropy is None and overlap is None and mass is None:
            return result, None, None
        none = probabilities.new_zeros(())
        each = share * (none if entropy is None else entropy)  # (B, N)
        at_truth = none
        if overlap is not None:
            at_truth = probabilities.gather(1, index[:, None])[:, 0] * known * overlap.gather(1, index)
        common = each - at_truth
        direct = torch.empty_like(probabilities)
        if mass is None:
            torch.mul(probabilities, common[:, None], out=direct)
        else:
            common -= known * torch.bmm(mass[:, None], probabilities)[:, 0]
            torch.addcmul(common[:, None], known[:, None], mass[:, :, None], out=direct).mul_(probabilities)
        direct.scatter_add_(1, index[:, None], (at_truth - each)[:, None])
        return direct if result is None else result.add_(direct), None, None
