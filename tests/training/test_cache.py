"""The cache: keyed by content, on the training grid, without the labels nobody may read; and predictions back home."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segbench.config import Recipe
from segbench.errors import DataInvalid, PluginError, UsageError
from segbench.host import load_catalogue
from segbench.scoring.decisions import chain_of
from segbench.training.cache import Cache, geometry_of, load_bare, resample
from segbench.training.inference import predict
from segbench.types import Choice, LabelMap, Task
from segbench.views import Patches, Slices

CATALOGUE = load_catalogue([Path(__file__).parents[1] / "toy.py"])
toy: Any = sys.modules["segbench_file_toy"]


def cache_of(root: Path, dataset: Mapping[str, Any] | None = None, **recipe: Any) -> Cache:
    data = CATALOGUE.dataset(Choice("toy", dict(dataset or {})))
    data.prepare(root / "data")
    return Cache(root / "cache", data, Recipe(**recipe))


def folders(root: Path) -> set[str]:
    return {path.name for path in (root / "cache" / "toy").iterdir()}


def test_a_case_comes_back_as_it_was(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, normalisation="none")
    ref = cache.dataset.refs()[0]
    loaded, stored = cache.dataset.load(ref), cache.store(ref, labelled=True)
    assert loaded.truth is not None
    assert np.array_equal(stored.image, loaded.image) and stored.image.dtype == np.float32
    assert np.array_equal(stored.target[0], loaded.truth.array) and stored.target.dtype == np.int16
    assert stored.spacing == stored.native_spacing == loaded.spacing
    assert np.array_equal(stored.affine, loaded.affine)
    assert isinstance(stored.image, np.memmap) and not stored.image.flags.writeable
    case = stored.case()
    assert case.truth is not None and np.array_equal(case.truth.array, loaded.truth.array)
    assert (np.take(stored.target[0].ravel(), np.ravel_multi_index(stored.foreground.T, stored.shape)) > 0).all()


def test_stored_once_and_again_when_content_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = cache_of(tmp_path)
    ref = cache.dataset.refs()[0]
    cache.store(ref, labelled=True)
    one = folders(tmp_path)
    monkeypatch.setattr(type(cache.dataset), "load", lambda self, ref: pytest.fail("read again"))
    cache_of(tmp_path).store(ref, labelled=True)
    assert folders(tmp_path) == one
    monkeypatch.undo()
    for other in (
        lambda: cache_of(tmp_path, normalisation="unit").store(ref, labelled=True),
        lambda: cache_of(tmp_path, crop=(0, 8, 8)).store(ref, labelled=True),
        lambda: cache_of(tmp_path).store(ref, labelled=False),
        lambda: cache_of(tmp_path).store(ref, labelled=False, scored=True),
        lambda: cache_of(tmp_path, {"revision": "2"}).store(ref, labelled=True),
        lambda: (again := cache_of(tmp_path, {"shape": (5, 13, 12)})).store(again.dataset.refs()[0], labelled=True),
    ):
        before = folders(tmp_path)
        other()
        assert len(folders(tmp_path)) == len(before) + 1


def test_a_full_disk_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = cache_of(tmp_path)
    ref = cache.dataset.refs()[0]

    def full(*arguments: Any, **others: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        with pytest.raises(OSError, match="No space"):
            cache.store(ref, labelled=True)
    assert folders(tmp_path) == set()
    assert cache.store(ref, labelled=True).image.shape[0] == 1


@pytest.mark.parametrize("file", ["image.npy", "target.npy", "foreground.npy", "meta.json", "seal.json", "derived"])
@pytest.mark.parametrize("damage", ["flipped", "zeroed", "cut", "empty", "lost"])
def test_a_damaged_cache_heals_with_a_note(tmp_path: Path, file: str, damage: str) -> None:
    notes: list[str] = []
    cache = cache_of(tmp_path, normalisation="none")
    cache.note = notes.append
    ref, method = cache.dataset.refs()[0], CATALOGUE.method(Choice("witness", {"fixed": True}))

    def contents() -> list[Any]:
        case = cache.store(ref, labelled=True)
        maps = case.derived(cache.derive(case, method))["copy"]
        return [np.array(array) for array in (case.image, case.target, case.foreground, maps, case.affine)]

    before = contents()
    (folder,) = (tmp_path / "cache" / "toy").iterdir()
    (path,) = folder.glob("derived-*/copy.npy") if file == "derived" else (folder / file,)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    if damage != "lost":
        damaged = {"flipped": content, "zeroed": bytes(len(content)), "cut": content[:-9], "empty": b""}[damage]
        path.write_bytes(damaged)
    after = contents()
    assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))
    kind = "maps that method witness derived" if file == "derived" else "case toy_0"
    assert [note for note in notes if kind in note and "made again" in note] == notes and len(notes) == 1
    contents()
    assert len(notes) == 1 and len(list((tmp_path / "cache" / "toy").iterdir())) == 1


@pytest.mark.parametrize("spacing", ["2,1.5,0.7", "6,2,2", "median"])
def test_resampled_cases_and_predictions_on_their_own_grid(tmp_path: Path, spacing: str) -> None:
    cache = cache_of(tmp_path, {"shape": (6, 20, 18)}, spacing=spacing, normalisation="none")
    refs = cache.dataset.refs()
    cache.settle_spacing(refs[:3])
    case, loaded = cache.store(refs[0], labelled=True), cache.dataset.load(refs[0])
    assert loaded.truth is not None
    expected = (3.0, 1.0, 1.0) if spacing == "median" else tuple(map(float, spacing.split(",")))
    assert case.spacing == expected
    shape = [round(n * old / new) for n, old, new in zip((6, 20, 18), (3, 1, 1), expected, strict=True)]
    assert list(case.shape) == shape == list(case.target.shape[1:])
    # the outer corner of the first voxel stays where it is in the world
    for affine in (case.affine, loaded.affine):
        corner = affine @ np.array([-0.5, -0.5, -0.5, 1])
        np.testing.assert_allclose(corner, loaded.affine @ np.array([-0.5, -0.5, -0.5, 1]))
    np.testing.assert_allclose(np.linalg.norm(case.affine[:3, :3], axis=0), expected)

    def forward(image: torch.Tensor) -> torch.Tensor:
        return torch.cat([-(image - 3 * label).abs() * 4 for label in range(3)], 1)

    for view in (Slices(0, 0, (20, 18)), Patches((4, 8, 8))):
        found = predict(
            forward, case, view, Task("toy", "1", ("a", "b", "c")), chain_of((), CATALOGUE), torch.device("cpu")
        )
        assert found.array.shape == (6, 20, 18) and found.array.dtype == np.int16
        assert found.spacing == loaded.spacing and found.affine is not None
        assert np.array_equal(found.affine, loaded.affine)


def test_a_smooth_shape_survives_resampling_and_back(tmp_path: Path) -> None:
    axes = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in (24, 24, 24)], indexing="ij")
    ball = (sum(axis**2 for axis in axes) < 64).astype(np.int16)
    for shape in ((12, 12, 12), (36, 30, 40)):
        there = resample(ball, shape, linear=False)
        assert there.dtype == ball.dtype and set(np.unique(there)) == {0, 1}
        centre = np.argwhere(there).mean(0)
        np.testing.assert_allclose(centre, [(n - 1) / 2 for n in shape], atol=0.3)  # a voxel has no middle neighbour
        back = resample(resample(ball.astype(np.float32), shape, linear=True), (24, 24, 24), linear=True) > 0.5
        assert 2 * (back & (ball > 0)).sum() / (back.sum() + ball.sum()) > 0.95


def test_spacing_that_makes_no_sense(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="native, median or three mm"):
        cache_of(tmp_path, spacing="fine")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("nan", "NaN or infinite"),
        ("channels", "expected an image of shape"),
        ("range", "expected labels 0 to 2, found 0 to 3"),
        ("below", "found -2 to 2"),
        ("shape", "differ in shape"),
        ("fraction", "whole numbers"),
        ("bare", "found none"),
    ],
)
def test_broken_cases_are_named(tmp_path: Path, fault: str, words: str) -> None:
    cache = cache_of(tmp_path, {"fault": fault})
    ref = cache.dataset.refs()[0]
    with pytest.raises(DataInvalid, match=f"toy_0.*{words}"):
        cache.store(ref, labelled=True)
    with pytest.raises(DataInvalid, match=f"toy_0.*{words}"):
        cache.store(ref, labelled=False, scored=True)
    if fault not in ("nan", "channels"):
        assert not cache.store(ref, labelled=False).labelled  # labels nobody reads may be anything


def test_unlabelled_cases_store_no_target(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, {"unlabelled": 1})
    for ref in (cache.dataset.refs()[0], cache.dataset.refs()[-1]):
        case = cache.store(ref, labelled=False)
        assert not list(case.folder.glob("target*")) and not list(case.folder.glob("foreground*"))
        reads: list[Any] = [case.truth, partial(cache.derive, case, toy.Witness())]
        reads += [partial(getattr, case, name) for name in ("target", "foreground")]
        for read in reads:
            with pytest.raises(PluginError, match="labels must not be read"):
                read()
        assert case.case().truth is None
    scored = cache.store(cache.dataset.refs()[0], labelled=False, scored=True)
    assert not list(scored.folder.glob("target*")) and scored.label_dtype == "int16"


def test_the_truth_stays_behind_unlooked_at(tmp_path: Path) -> None:
    twins = [toy.Twin(truth=truth) for truth in ("right", "garbage", "poison", "none")]
    ref = twins[0].refs()[0]
    with pytest.raises(AssertionError, match="were looked at"):
        _ = twins[2].load(ref).truth.array
    cases = [Cache(tmp_path / twin.truth, twin, Recipe()).store(ref, labelled=False) for twin in twins]
    assert all(load_bare(twin, ref).truth is None for twin in twins)
    for case in cases:
        assert {path.name for path in case.folder.iterdir()} == {"image.npy", "meta.json", "seal.json"}
        assert (case.folder / "meta.json").read_text() == (cases[0].folder / "meta.json").read_text()
        assert np.array_equal(case.image, cases[0].image)
    other = Cache(tmp_path / "other", twins[0], Recipe(crop=(2, 5, 5)))
    assert other.store(ref, labelled=False).digest == cases[0].digest  # of the image as it was given
    assert other.store(twins[0].refs()[1], labelled=False).digest != cases[0].digest


@pytest.mark.parametrize("spacing", ["native", "1.5,1,1"])
@pytest.mark.parametrize("crop", [(0, 8, 5), (4, 99, 6), (1, 1, 1)])
def test_crops_are_centred_and_know_their_place(tmp_path: Path, spacing: str, crop: tuple[int, int, int]) -> None:
    options: dict[str, Any] = {"spacing": spacing, "normalisation": "none"}
    stored = []
    for name, more in (("whole", {}), ("crop", {"crop": crop})):
        cache = cache_of(tmp_path / name, **options, **more)
        cache.settle_spacing([])
        stored.append(cache.store(cache.dataset.refs()[0], labelled=True))
    whole, part = stored
    assert part.grid_shape == whole.shape and whole.origin == (0, 0, 0)
    assert part.shape == tuple(min(n, size or n) for n, size in zip(whole.shape, crop, strict=True))
    for first, kept, n in zip(part.origin, part.shape, whole.shape, strict=True):
        assert first - (n - first - kept) in (0, -1)  # as much is cut on either side
    assert np.array_equal(part.image, whole.image[(slice(None), *part.box)])
    assert np.array_equal(part.target, whole.target[(slice(None), *part.box)])
    corner, place = np.array([0.0, 0, 0, 1]), np.array([*part.origin, 1.0])
    np.testing.assert_allclose(part.affine @ corner, whole.affine @ place)
    assert all((voxel < part.shape).all() for voxel in part.foreground)
    assert all(part.target[0][tuple(voxel)] > 0 for voxel in part.foreground)


def test_intensities_are_those_of_the_crop(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, crop=(0, 8, 8))
    image = cache.store(cache.dataset.refs()[0], labelled=True).image
    assert float(image.mean()) == pytest.approx(0, abs=1e-5) and float(image.std()) == pytest.approx(1, abs=1e-5)


def test_constant_and_nearly_constant_images(tmp_path: Path) -> None:
    for how in ("zscore", "unit"):
        cache = cache_of(tmp_path, {"fault": "constant"}, normalisation=how)
        assert (cache.store(cache.dataset.refs()[0], labelled=True).image == 0).all()
    from segbench.training.cache import _normalise

    sparse = np.zeros((10, 20, 20), dtype=np.float32)
    sparse[5, 5, 5:9] = 7
    for how in ("zscore", "unit"):
        found = _normalise(sparse, how)
        assert np.isfinite(found).all() and found.max() > found.min()
    assert (_normalise(np.full((3, 3, 3), 1e12 + 0.1, np.float32), "zscore") == 0).all()


def test_normalisation(tmp_path: Path) -> None:
    image = cache_of(tmp_path).store(cache_of(tmp_path).dataset.refs()[0], labelled=True).image
    assert float(image.mean()) == pytest.approx(0, abs=1e-5) and float(image.std()) == pytest.approx(1, abs=1e-5)
    unit = cache_of(tmp_path, normalisation="unit").store(cache_of(tmp_path).dataset.refs()[0], labelled=True).image
    assert (unit.min(), unit.max()) == (0, 1)


def test_a_new_version_of_a_method_or_of_its_code_derives_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = cache_of(tmp_path)
    case = cache.store(cache.dataset.refs()[0], labelled=True)
    old = cache.derive(case, toy.Witness())
    monkeypatch.setattr(toy.Witness, "derive", lambda self, truth: {"copy": np.full(truth.array.shape, 7.0)})
    assert (case.derived(cache.derive(case, toy.Witness()))["copy"] != 7).all(), "the same version: the stored maps"
    edited = cache.derive(case, toy.Witness(), code="abc")
    monkeypatch.setattr(toy.Witness, "version", "2")
    newer = cache.derive(case, toy.Witness())
    assert len({old, edited, newer}) == 3
    assert all((case.derived(key)["copy"] == 7).all() for key in (edited, newer))


def test_derived_maps_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = cache_of(tmp_path)
    case = cache.store(cache.dataset.refs()[0], labelled=True)
    key = cache.derive(case, toy.Witness())
    maps = case.derived(key)
    assert {name: value.shape for name, value in maps.items()} == {"copy": (1, *case.shape), "two": (2, *case.shape)}
    assert np.array_equal(maps["copy"][0], case.target[0] == 1)
    assert cache.derive(case, toy.Witness(weight=2.0)) != key  # parameters may change what is derived
    monkeypatch.setattr(toy.Witness, "derive", lambda self, truth: pytest.fail("derived again"))
    assert cache.derive(case, toy.Witness()) == key


@pytest.mark.parametrize(("fault", "words"), [("derive", "has shape"), ("infinite", "NaN or infinite")])
def test_derived_maps_that_do_not_fit(tmp_path: Path, fault: str, words: str) -> None:
    cache = cache_of(tmp_path)
    case = cache.store(cache.dataset.refs()[0], labelled=True)
    with pytest.raises(PluginError, match=f"witness.*toy_0.*'copy'.*{words}"):
        cache.derive(case, toy.Witness(fault=fault))


def test_derived_maps_whose_name_is_a_path(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    case = cache.store(cache.dataset.refs()[0], labelled=True)
    method = toy.Witness()
    method.derive = lambda truth: {"../escape": truth.array}
    with pytest.raises(PluginError, match=r"'\.\./escape'"):
        cache.derive(case, method)


def test_geometry_is_that_of_the_training_cases(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    cases = [cache.store(ref, labelled=True) for ref in cache.dataset.refs()[:3]]
    geometry = geometry_of(cases)
    assert geometry.shape == geometry.largest == (5, 13, 11) and geometry.spacing == (3.0, 1.0, 1.0)


def test_predictions_can_hold_every_label(tmp_path: Path) -> None:
    from segbench.training.cache import _label_dtype

    case = cache_of(tmp_path).dataset.load(cache_of(tmp_path).dataset.refs()[0])
    for dtype, labels, expected in (
        (np.uint8, 256, "uint8"),
        (np.int8, 200, "uint8"),
        (np.uint8, 300, "uint16"),
        (np.int64, 3, "uint8"),
        (np.int32, 3, "int32"),
        (np.bool_, 2, "uint8"),
    ):
        truth = LabelMap(np.zeros((1, 1, 1), dtype=dtype), (1.0, 1.0, 1.0))
        made = type(case)(case.id, case.image, case.spacing, case.affine, truth)
        assert _label_dtype(made, labels) == expected
    assert _label_dtype(None, 3) == "uint8"
