"""The table: learnt, written, read back, laid over samples, refused where it does not hold."""

from __future__ import annotations

from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from segbench import (
    Augmentation,
    Batch,
    Case,
    Choice,
    DataInvalid,
    DataMissing,
    Incompatible,
    LabelMap,
    Recipe,
    Task,
    load_catalogue,
)
from segbench.training import augmentation
from segbench.training.cache import Cache
from segbench.training.stage import TrainingStage
from segbench_shape_descriptors import learn_table, read_table, write_table
from segbench_shape_descriptors.method import ShapeDescriptors
from segbench_shape_descriptors.samples import origin_map, place_of

TASK = Task("boxes", "1", ("background", "a", "b, with comma"))
SPACING = (3.0, 1.0, 2.0)


def truth(size=(4, 9, 8)):
    array = np.zeros(size, dtype=np.uint8)
    array[1:3, 2:5, 3:7] = 1
    array[1:2, 6:8, 1:4] = 2  # away from the edge, where padding would add to the length
    return LabelMap(array, SPACING)


def batch_of(label_map, pad=0, index=None):
    """Return a case, or one of its slices, as the engine would cut it from a box ``pad`` voxels wider on each side."""
    target, origin = label_map.array.astype(np.int64), origin_map(label_map.array.shape)
    if index is not None:
        target, origin = target[index], origin[:, index]
    around = [(pad, pad)] * target.ndim
    target = torch.from_numpy(np.pad(target, around, constant_values=-1))[None]
    origin = torch.from_numpy(np.pad(origin, [(0, 0), *around]))[None]
    spacing = torch.tensor([SPACING[-(target.ndim - 1) :]])
    return Batch(
        torch.zeros_like(target)[:, None].float(), target, {"origin": origin}, torch.ones(1, dtype=torch.bool),
        spacing, ["case"], torch.tensor([-1]),
    )  # fmt: skip


def stage_of(dims, cases=("case",), native=True):
    affine = np.eye(4)
    image = np.zeros((1, 4, 9, 8), np.float32)
    return SimpleNamespace(
        task=TASK, dims=dims, device=torch.device("cpu"), samples=0, native=native,
        cases=lambda: iter([Case(name, image, SPACING, affine) for name in cases]),
    )  # fmt: skip


def written(tmp_path, **options):
    path = tmp_path / "bounds.csv"
    rows = learn_table([("case", truth())], TASK.labels, **options)
    write_table(path, rows, physical=options.get("physical", False))
    return path


@pytest.mark.parametrize("slices", [False, True])
@pytest.mark.parametrize("physical", [False, True])
def test_round_trip(tmp_path, slices, physical):
    path = written(tmp_path, slices=slices, physical=physical)
    table = read_table(path, TASK.labels)
    assert (table.sliced, table.physical) == (slices, physical) and table.cases() == {"case"}
    rows = learn_table([("case", truth())], TASK.labels, slices=slices, physical=physical)
    assert sum(len(values) for values in table.values.values()) == len(rows)
    for row in rows:
        assert table.values[("case", row.slice)][TASK.labels.index(row.label), row.column] == row.value
    if not slices:
        found = {(row.label, *row.column): row.value for row in rows}
        assert found["a", "volume", 0] == 2 * 3 * 4 * (6 if physical else 1)
        assert found["a", "centroid", 0] == 1.5 * (3 if physical else 1)


@pytest.mark.parametrize("pad", [0, 3])
@pytest.mark.parametrize("index", [None, 1, 2, 3])
@pytest.mark.parametrize("physical", [False, True])
def test_table_and_truth_give_the_same_numbers(tmp_path, pad, index, physical):
    path = written(tmp_path, slices=index is not None, physical=physical)
    batch = batch_of(truth(), pad, index)
    dims = batch.target.ndim - 1
    from_table, from_truth = (ShapeDescriptors(table=one, physical=physical) for one in (path, None))
    from_table.prepare(stage_of(dims))
    from_truth.prepare(stage_of(dims))
    expected, found = from_truth.numbers(batch)[:, 1:], from_table.numbers(batch)[:, 1:]
    torch.testing.assert_close(found, expected, equal_nan=True)
    garbage = Batch(batch.image, torch.full_like(batch.target, 10**9), *list(vars(batch).values())[2:])
    logits = torch.randn(1, 3, *batch.target.shape[1:], requires_grad=True)
    losses = [sum(from_table.loss(one, logits).values()) for one in (batch, garbage)]
    assert torch.equal(*losses) and torch.isfinite(losses[0])  # no target voxel is ever looked at


def test_the_origin_travels_through_the_method():
    assert ShapeDescriptors().derive(truth()) == {}
    origin = ShapeDescriptors(table="bounds.csv").derive(truth())["origin"]
    assert origin.shape == (6, 4, 9, 8) and origin[:, 3, 7, 5].tolist() == [3, 7, 5, 4, 9, 8]


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("change", ["rotation", "scale", "shift", "elastic", "flip"])
def test_warped_samples_are_refused(dims, change):
    still = {"rotation": 0, "scale": 0, "shift": 0, "elastic": 0, "probability": 1.0}
    batch = batch_of(truth((6, 16, 18)), 0, 2 if dims == 2 else None)
    strength = {"rotation": 10.0, "scale": 0.2, "shift": 0.2, "elastic": 2.0, "flip": (0, 1)}[change]
    for settings, refused in ((still, False), (still | {change: strength}, True)):
        drawn = [
            augmentation.draw(
                Augmentation(**settings), batch.target.shape[1:], batch.spacing, torch.Generator().manual_seed(seed)
            )
            for seed in range(4)
        ]
        outcomes = []
        for one in drawn:
            _, _, maps = augmentation.apply(one, batch.image, batch.target, batch.derived)
            try:
                place_of(maps["origin"][0], "case")
                outcomes.append(False)
            except Incompatible as error:
                assert "recipe.augmentation" in str(error)
                outcomes.append(True)
        assert any(outcomes) == refused


def test_cropped_samples_and_other_axes_are_refused():
    origin = torch.from_numpy(origin_map((4, 9, 8)))
    with pytest.raises(Incompatible, match="not seen as a whole"):
        place_of(origin[:, :, 1:], "case")
    with pytest.raises(Incompatible, match=r"network\.axis=0|turned"):
        place_of(origin[:, :, 4], "case")
    assert place_of(origin[:, 2], "case") == (2, [0, 0])


def test_whole_cases_and_slices_are_not_mixed_up(tmp_path):
    with pytest.raises(Incompatible, match="speaks of cases, but the network sees slices"):
        ShapeDescriptors(table=written(tmp_path)).prepare(stage_of(2))
    with pytest.raises(Incompatible, match="speaks of slices, but the network sees volumes"):
        ShapeDescriptors(table=written(tmp_path, slices=True)).prepare(stage_of(3))
    with pytest.raises(DataInvalid, match=r"set method\.physical"):
        ShapeDescriptors(table=written(tmp_path, physical=True)).prepare(stage_of(3))
    with pytest.raises(DataInvalid, match=r"no numbers for 1 training cases, e\.g\. other"):
        ShapeDescriptors(table=written(tmp_path)).prepare(stage_of(3, ("case", "other")))


def test_resampled_or_cropped_cases_are_refused(tmp_path):
    with pytest.raises(Incompatible, match=r"resampled or cropped. Set recipe\.spacing=native and no recipe\.crop"):
        ShapeDescriptors(table=written(tmp_path)).prepare(stage_of(3, native=False))
    ShapeDescriptors().prepare(stage_of(3, native=False))  # bounds from truths hold on every grid


@pytest.mark.parametrize(
    ("settings", "native"),
    [
        ({}, True),
        ({"spacing": "10,4,4"}, True),
        ({"crop": (0, 400, 400)}, True),
        ({"crop": (0, 20, 20)}, False),
        ({"spacing": "10,8,8"}, False),
        ({"spacing": "10,4,4", "crop": (2, 0, 0)}, False),
    ],
)
def test_the_stage_says_whether_cases_lie_as_in_their_files(tmp_path, settings, native):
    dataset = load_catalogue().dataset(Choice("heart", {"cases": 3, "spacing": (10, 4, 4)}))
    dataset.prepare(tmp_path)
    cache = Cache(tmp_path / "cache", dataset, Recipe(**settings))
    cache.settle_spacing(dataset.refs())
    case = cache.store(dataset.refs()[0], labelled=True)
    nothing = [None] * (len(fields(TrainingStage)) - 1)
    stage = replace(TrainingStage(*nothing), training=[case])
    assert stage.native is native


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("case,class,value\nx,a,1\n", "no descriptor"),
        ("case,class,descriptor,value,value\nx,a,volume,1,2\n", "'value' twice"),
        ("case,class,descriptor,value\nx,a,volume,1,2\n", "line 2: expected as many cells"),
        ("case,class,descriptor,value\nx,a,moment_x,1\n", "no descriptor is called 'moment_x'"),
        ("case,class,descriptor,value\nx,a,moment_1,1\n", "no descriptor is called 'moment_1'"),
        ("case,slice,class,descriptor,value\nx,0,a,moment_2_0_0,1\n", "0 axes"),
        ("case,class,descriptor,axis,value\nx,a,centroid,-1,1\n", "3 axes here, counted from 0; found axis -1"),
        ("case,class,descriptor,axis,value\nx,a,centroid,7,1\n", "found axis 7"),
        ("case,class,descriptor,axis,value\nx,a,volume,1,1\n", "volume has 1 axes"),
        ("case,slice,class,descriptor,axis,value\nx,0,a,spread,2,1\n", "spread has 2 axes"),
        ("case,slice,class,descriptor,value\nx,-1,a,volume,1\n", "a slice from 0"),
        ("case,class,descriptor,value\nx,a,spread,-1\n", "a finite spread from 0"),
        ("case,class,descriptor,value\nx,a,length,-1\n", "a finite length from 0"),
        ("case,class,descriptor,value\nx,a,length,1e300\n", "a finite length"),
        ("case,class,descriptor,value\n ,a,volume,1\n", "the name of a case"),
        ("case,class,descriptor,value\nx,a,centroid,1\nx,a,volume,0\n", "a of x has volume 0 and yet a centroid"),
        ("case,class,descriptor,value\nx,A,volume,1\n", "line 2: no class is called 'A'. Did you mean 'a'"),
        ("case,class,descriptor,value\nx,a,volum,1\n", "Did you mean 'volume'"),
        ("case,class,descriptor,value\nx,a,volume,big\n", "line 2: expected numbers"),
        ("case,class,descriptor,value\nx,a,volume,-1\n", "from 0"),
        ("case,class,descriptor,value\nx,a,volume,nan\n", "finite"),
        ("case,class,descriptor,value\nx,a,volume,1\nx,a,volume,2\n", "line 3: this number was already given"),
        ("case,class,descriptor,value,unit\nx,a,volume,1,mm\nx,a,length,1,voxel\n", "one unit"),
        ("case,class,descriptor,value\n", "found none"),
        ("case,class,descriptor,value\nx\n", "no class is called None"),
    ],
)
def test_wrong_tables(tmp_path, text, words):
    path = tmp_path / "bounds.csv"
    with pytest.raises(DataMissing):
        read_table(path, TASK.labels)
    path.write_text(text)
    with pytest.raises(DataInvalid, match=words):
        read_table(path, TASK.labels)
