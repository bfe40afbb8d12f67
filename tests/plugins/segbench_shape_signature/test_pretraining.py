"""Masks in a frame, pre-training, collapse, and signatures kept by content."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segbench import LabelMap, Structure
from segbench_shape_signature import store
from segbench_shape_signature.fitting import fit, generate
from segbench_shape_signature.pretraining import Spread, build, measure, pretrain, warn
from segbench_shape_signature.settings import Pretraining
from segbench_shape_signature.subjects import collect

SMALL = Pretraining(iterations=3, levels=2, width=2)
ONE = Structure("one", (1,), 1)


def truth(size, shape=(14, 12, 13), spacing=(2.0, 1.0, 1.0), label=1):
    array = np.zeros(shape, dtype=np.int16)
    array[2 : 2 + size[0], 3 : 3 + size[1], 4 : 4 + size[2]] = label
    return LabelMap(array, spacing)


def boxes(count=6, seed=0):
    drawn = np.random.default_rng(seed)
    return [truth(tuple(drawn.integers(2, 8, 3))) for _ in range(count)]


def subjects(count=6):
    return collect(boxes(count), [ONE])["one"]


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    monkeypatch.setattr(store, "_remembered", {})


def counting_fit():
    calls, train = [], fit(0)

    def counted(*arguments, **settings):
        calls.append(settings["purpose"])
        return train(*arguments, **settings)

    return counted, calls


def test_masks_are_cut_out_and_centred_in_a_frame():
    maps = [truth((2, 5, 3)), truth((4, 2, 2), label=2), LabelMap(np.full((3, 3, 3), -1), (1.0, 1.0, 1.0))]
    found = collect(maps, [ONE, Structure("any", (1, 2)), Structure("none", (7,), 7)])
    assert [len(found[name]) for name in ("one", "any", "none")] == [1, 2, 0]
    assert found["one"].crops[0].shape == (2, 5, 3) and found["one"].spacing == (2.0, 1.0, 1.0)
    frame = found["any"].frame(SMALL)
    assert all(n % 4 == 0 for n in frame) and all(n >= 1.15 * e for n, e in zip(frame, (4, 5, 3), strict=True))
    masks = found["any"].batch([0, 1], frame)
    assert masks.shape == (2, 1, *frame) and masks.flatten(1).sum(1).tolist() == [30, 16]
    centre = masks[0, 0].nonzero().float().mean(0) + 0.5 - torch.tensor(frame) / 2
    assert float(centre.abs().max()) <= 0.5


def test_no_pose_leaves_the_frame():
    found = collect([truth((3, 9, 4), spacing=(1.0, 1.0, 1.0))], [ONE])["one"]
    settings = Pretraining(levels=1)
    masks = found.batch([0], found.frame(settings)).repeat(200, 1, 1, 1, 1)
    from segbench_shape_signature.affine import affine_copy

    moved = affine_copy(masks, torch.Generator().manual_seed(0))
    assert float(moved.flatten(1).sum(1).min()) > 0.85**3 * 108 * 0.8


def test_planes_and_single_slices():
    plane = LabelMap(np.pad(np.ones((3, 4), dtype=np.int16), 2), (1.0, 2.0))
    found = collect([plane, truth((1, 4, 4), shape=(4, 9, 9))], [ONE])["one"]
    assert [crop.shape for crop in found.crops] == [(1, 3, 4), (1, 4, 4)] and found.spacing == (1.0, 1.0, 2.0)
    network = build(SMALL, generate(0)("x"))
    pretrain(network, found, SMALL, fit(0))
    assert np.isfinite(measure(network, found, SMALL, generate(0)("y")).same)


def test_training_brings_affine_copies_together():
    found, settings = subjects(), Pretraining(iterations=30, learning_rate=1e-3, levels=2, width=4)
    network = build(settings, generate(0)("x"))
    before = measure(network, found, settings, generate(0)("y"))
    pretrain(network, found, settings, fit(0))
    assert measure(network, found, settings, generate(0)("y")).same < 0.5 * before.same


def test_a_margin_keeps_subjects_apart():
    found = subjects()
    spreads = []
    for margin in (0.0, 1.0):
        settings = Pretraining(iterations=60, learning_rate=3e-3, levels=2, width=4, margin=margin)
        network = build(settings, generate(0)("x"))
        pretrain(network, found, settings, fit(0))
        spreads.append(measure(network, found, settings, generate(0)("y")))
    assert spreads[1].ratio < 0.8 * spreads[0].ratio and spreads[1].different > 5 * spreads[0].different


def test_signatures_are_scaled_to_the_spread():
    for spread in (0.4, 2.0):
        settings = Pretraining(iterations=2, levels=2, width=2, spread=spread)
        found = store.obtain("one", subjects(), settings, generate(0), fit(0))
        assert found.spread.different == pytest.approx(spread, rel=1e-5)
        again = measure(found.network, subjects(), settings, generate(0)("shape signature of one, trained"))
        assert again.same == pytest.approx(found.spread.same, rel=1e-4)
    plain = store.obtain("one", subjects(), Pretraining(iterations=0, levels=2, width=2, spread=0), generate(0), fit(0))
    drawn = build(SMALL, generate(0)("shape signature of one"))
    torch.testing.assert_close(plain.network.state_dict(), drawn.state_dict())


def test_collapse_is_complained_of(caplog):
    assert Spread(0.1, 0.4, 1.0).complaint() is None
    assert "margin" in Spread(0.5, 0.4, 1.0).complaint() and "1.25" in Spread(0.5, 0.4, 1.0).complaint()
    assert "collapse" in Spread(0.0, 0.0, 1.0).complaint()
    warn("caudate", Spread(0.5, 0.4, 1.0), 3)
    assert "shape signature of caudate" in caplog.text
    caplog.clear()
    warn("caudate", Spread(0.5, 0.0, 1.0), 1)
    assert not caplog.text
    network = build(SMALL, generate(0)("x"))
    network.head.weight.data.zero_()
    assert "collapse" in measure(network, subjects(), SMALL, generate(0)("y")).complaint()


def test_same_content_is_trained_once(tmp_path):
    counted, calls = counting_fit()
    first = store.obtain("one", subjects(), SMALL, generate(0), counted, folders=[tmp_path / "run"])
    again = store.obtain("one", subjects(), SMALL, generate(0), counted, folders=[tmp_path / "other"])
    assert len(calls) == 1 and len(list(tmp_path.glob("*/signature-*.pt"))) == 2
    store._remembered.clear()
    read = store.obtain("one", subjects(), SMALL, generate(0), counted, folders=[tmp_path / "new", tmp_path / "run"])
    assert len(calls) == 1
    for other in (again, read):
        torch.testing.assert_close(other.state(), first.state(), rtol=0, atol=0)


def test_other_content_is_trained_anew_and_damage_is_mended(tmp_path):
    counted, calls = counting_fit()
    more = Pretraining(iterations=4, levels=2, width=2)
    contents = ((subjects(), SMALL, 0), (subjects(5), SMALL, 0), (subjects(), more, 0), (subjects(), SMALL, 1))
    for masks, settings, seed in contents:
        store.obtain("one", masks, settings, generate(seed), counted, folders=[tmp_path])
    assert len(calls) == 4
    store.obtain("one", subjects(), SMALL, generate(0), counted, trained=False)
    assert len(calls) == 4
    store._remembered.clear()
    for path in tmp_path.glob("*.pt"):
        path.write_bytes(b"damaged")
    store.obtain("one", subjects(), SMALL, generate(0), counted, folders=[tmp_path])
    store._remembered.clear()
    store.obtain("one", subjects(), SMALL, generate(0), counted, folders=[tmp_path])
    assert len(calls) == 5 and not list(tmp_path.glob(".*.part"))
    for path in tmp_path.glob("*.pt"):
        content = bytearray(path.read_bytes())
        for position in range(len(content) // 4, 3 * len(content) // 4, 97):
            content[position] ^= 1
        path.write_bytes(content)
    store._remembered.clear()
    store.obtain("one", subjects(), SMALL, generate(0), counted, folders=[tmp_path])
    assert len(calls) == 6, "flipped bits are seen"


def test_training_is_deterministic_and_leaves_the_global_seed_alone():
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first = store.obtain("one", subjects(), SMALL, generate(0), fit(0)).state()
    assert torch.equal(torch.random.get_rng_state(), state)
    store._remembered.clear()
    torch.manual_seed(6)
    second = store.obtain("one", subjects(), SMALL, generate(0), fit(0)).state()
    torch.testing.assert_close(first, second, rtol=0, atol=0)
