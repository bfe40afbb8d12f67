"""Folders of pairs as they are shipped: DRIVE, ISIC, GlaS, Kvasir-SEG, 3D folders; masks in, label indices out."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from segbench import (
    Choice,
    DataInvalid,
    DataMissing,
    LabelMap,
    Recipe,
    RunConfig,
    UnknownName,
    UsageError,
    load_catalogue,
    read_label_map,
    read_scores,
    run,
)
from segbench_pairs.pairs import Pairs

RNG = np.random.default_rng(3)
DRAWN = [RNG.integers(0, 2, (11, 13)).astype(np.uint8) for _ in range(4)]


def colours(seed: int, shape: tuple[int, int] = (11, 13)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3)).astype(np.uint8)


def save(path: Path, array: np.ndarray, **settings: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **settings)
    return path


def prepared(folder: Path, **settings: object) -> Pairs:
    dataset = Pairs(path=folder, **settings)
    dataset.prepare(folder)
    return dataset


def drive(folder: Path) -> Path:
    for number in range(4):
        part = "training" if number < 3 else "test"
        save(folder / part / "images" / f"{number + 21}_{part}.tif", colours(number), dpi=(96, 96))
        save(folder / part / "1st_manual" / f"{number + 21}_manual1.gif", DRAWN[number] * np.uint8(255))
    return folder


def test_drive(tmp_path):
    settings = {
        "images": ("*/images/*.tif",),
        "masks": "*/1st_manual/*.gif",
        "case": r"^(\d+)_",
        "test": "test/images/*",
    }
    dataset = prepared(drive(tmp_path), labels="vessel=255", **settings)
    refs = dataset.refs()
    assert [(ref.id, ref.split) for ref in refs] == [("21", "train"), ("22", "train"), ("23", "train"), ("24", "test")]
    assert dataset.task.labels == ("background", "vessel") and dataset.task.channels == ("red", "green", "blue")
    for ref, drawn, number in zip(refs, DRAWN, range(4), strict=True):
        case = dataset.load(ref)
        assert np.array_equal(case.image[:, 0], colours(number).transpose(2, 0, 1))
        assert np.array_equal(case.truth.array[0], drawn)
        assert case.truth.unit == "px" and case.spacing == (1, 1, 1)
    dataset.write_prediction(refs[0], LabelMap(DRAWN[1][None], (1.0, 1.0, 1.0)), tmp_path / "out")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "21_manual1.png")), DRAWN[1] * 255)
    green = prepared(tmp_path, channels=("green",), **settings)
    assert np.array_equal(green.load(green.refs()[0]).image[0, 0], colours(0)[..., 1])
    assert green.task.labels == ("background", "foreground")
    assert green.task.revision != dataset.task.revision


def test_isic_masks_are_named_after_images(tmp_path):
    for number in range(3):
        save(tmp_path / "images" / f"ISIC_000000{number}.jpg", colours(number))
        save(tmp_path / "masks" / f"ISIC_000000{number}_segmentation.png", DRAWN[number] * np.uint8(255))
    dataset = prepared(tmp_path)
    assert [ref.id for ref in dataset.refs()] == ["ISIC_0000000", "ISIC_0000001", "ISIC_0000002"]
    assert np.array_equal(dataset.load(dataset.refs()[2]).truth.array[0], DRAWN[2])


def test_glas_instances_in_the_same_folder(tmp_path):
    for number in range(3):
        save(tmp_path / f"train_{number + 1}.bmp", colours(number))
        save(tmp_path / f"train_{number + 1}_anno.bmp", DRAWN[number] * np.uint8(number + 3))
    dataset = prepared(tmp_path, images=("*.bmp",), masks="*_anno.bmp", labels="gland=>=1", patient=r"_(\d+)$")
    assert [ref.group for ref in dataset.refs()] == ["1", "2", "3"]
    case = dataset.load(dataset.refs()[1])
    assert np.array_equal(case.truth.array[0], DRAWN[1])
    dataset.write_prediction(dataset.refs()[1], LabelMap(DRAWN[0][None], (1.0, 1.0, 1.0)), tmp_path / "out")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "train_2_anno.bmp")), DRAWN[0])


def test_kvasir_masks_are_jpeg_and_need_a_threshold(tmp_path):
    block = np.kron(DRAWN[0], np.ones((8, 8), np.uint8))
    save(tmp_path / "images" / "a.jpg", colours(0, block.shape))
    save(tmp_path / "masks" / "a.jpg", block * np.uint8(255), quality=95)
    with pytest.raises(DataInvalid, match="JPEG"):
        prepared(tmp_path)
    dataset = prepared(tmp_path, labels="polyp=>=128")
    assert np.array_equal(dataset.load(dataset.refs()[0]).truth.array[0], block)
    dataset.write_prediction(dataset.refs()[0], LabelMap(block[None], (1.0, 1.0, 1.0)), tmp_path / "out")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "a.png")), block * 255)


def test_colours_an_ignore_colour_and_a_table_in_the_folder(tmp_path):
    drawn = np.random.default_rng(0).integers(0, 4, (11, 13))
    table = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [128, 128, 128]], np.uint8)
    save(tmp_path / "images" / "a.png", colours(0))
    save(tmp_path / "masks" / "a.png", table[drawn])
    (tmp_path / "pairs.toml").write_text(
        'ignore = "#808080"\nspacing = [0.5, 0.25]\nchannels = "grey"\n[labels]\ndisc = "#00ff00"\ncup = "#f00"\n'
    )
    dataset = prepared(tmp_path)
    case = dataset.load(dataset.refs()[0])
    assert dataset.task.labels == ("background", "disc", "cup")
    assert np.array_equal(case.truth.array[0], np.array([0, 2, 1, -1])[drawn])
    assert case.spacing == (1, 0.5, 0.25) and case.truth.unit == "mm"
    grey = np.asarray(Image.fromarray(colours(0)).convert("L"), dtype=float)
    assert np.abs(case.image[0, 0] - grey).max() <= 1
    predicted = LabelMap(np.where(case.truth.array < 0, 0, case.truth.array), case.spacing)
    dataset.write_prediction(dataset.refs()[0], predicted, tmp_path / "out")
    written = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    assert np.array_equal(written, np.where((drawn == 3)[..., None], 0, table[drawn]))
    assert prepared(tmp_path, spacing="px").load(dataset.refs()[0]).truth.unit == "px"


def test_volumes_with_two_channels(tmp_path):
    drawn = np.random.default_rng(1).integers(0, 3, (4, 5, 6)).astype(np.uint8)
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    for name, array in (("a_t1", drawn * 2.0), ("a_t2", drawn * 3.0), ("a_seg", drawn)):
        part = tmp_path / ("masks" if name == "a_seg" else "images")
        part.mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(array, affine), part / f"{name}.nii.gz")
    dataset = prepared(tmp_path, images=("images/*_t1.nii.gz", "images/*_t2.nii.gz"), labels="edema=1,core=2")
    case = dataset.load(dataset.refs()[0])
    assert case.id == "a" and case.spacing == (3, 2, 1) and case.truth.unit == "mm"
    assert np.array_equal(case.truth.array, drawn.T) and np.array_equal(case.image[1], drawn.T * 3)
    dataset.write_prediction(dataset.refs()[0], case.truth, tmp_path / "out")
    assert np.array_equal(read_label_map(tmp_path / "out" / "a_seg.nii.gz").array, drawn.T)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"masks": "nothing/*"}, DataMissing, "found none"),
        ({"masks": "../masks/*"}, UsageError, "inside the folder"),
        ({"case": "("}, UsageError, "regular expression"),
        ({"case": "x(y)"}, UsageError, "in every file name"),
        ({"labels": "vessel"}, UsageError, "NAME=VALUE"),
        ({"labels": "vessel=255,disc=255"}, UsageError, "twice"),
        ({"labels": "vessel=red"}, UsageError, "expected a value"),
        ({"labels": "vessel=255,disc=#ff0000"}, UsageError, "either colours or values"),
        ({"spacing": "1,2,3,4"}, UsageError, "spacing"),
        ({"channels": ("red", "red")}, UsageError, "once"),
        ({"patient": "(q)"}, UsageError, "patient"),
    ],
)
def test_settings_that_mean_nothing(tmp_path, settings, error, words):
    for number in range(2):
        save(tmp_path / "images" / f"{number}.png", colours(number))
        save(tmp_path / "masks" / f"{number}.png", DRAWN[number] * np.uint8(255))
    with pytest.raises(error, match=words):
        prepared(tmp_path, **settings)


def test_files_that_do_not_pair(tmp_path):
    save(tmp_path / "images" / "a.png", colours(0))
    save(tmp_path / "images" / "b.png", colours(1))
    save(tmp_path / "masks" / "a.png", DRAWN[0])
    with pytest.raises(DataInvalid, match="found none for b"):
        prepared(tmp_path)
    dataset = prepared(tmp_path, unlabelled=True)
    assert [ref.split for ref in dataset.refs()] == ["", "unlabelled"]
    save(tmp_path / "masks" / "c.png", DRAWN[0])
    with pytest.raises(DataInvalid, match=r"found c\.png"):
        prepared(tmp_path, unlabelled=True)
    (tmp_path / "masks" / "c.png").unlink()
    save(tmp_path / "masks" / "b.png", DRAWN[0][:5])
    dataset = prepared(tmp_path)
    with pytest.raises(DataInvalid, match="case b: expected one grid"):
        dataset.load(dataset.refs()[1])
    save(tmp_path / "masks" / "b.png", DRAWN[0] * np.uint8(7))
    dataset = prepared(tmp_path, labels="x=1")
    with pytest.raises(DataInvalid, match="case b: expected labels 0 to 1, found 7"):
        dataset.load(dataset.refs()[1])
    save(tmp_path / "images" / "a.png", DRAWN[0])
    with pytest.raises(DataInvalid, match=r"channels=grey"):
        prepared(tmp_path).load(dataset.refs()[1])


@pytest.mark.parametrize(
    ("text", "error"),
    [("labels = 3", DataInvalid), ("[", DataInvalid), ("colour = 1", UnknownName), ("images = []", DataInvalid)],
)
def test_a_table_that_means_nothing_is_named(tmp_path, text, error):
    save(tmp_path / "images" / "a.png", colours(0))
    save(tmp_path / "masks" / "a.png", DRAWN[0])
    (tmp_path / "pairs.toml").write_text(text)
    with pytest.raises(error, match=r"pairs\.toml"):
        prepared(tmp_path)


@pytest.mark.slow
def test_a_run_trains_predicts_in_its_own_format_and_scores_in_pixels(tmp_path):
    if "pairs" not in load_catalogue().names("datasets"):
        pytest.skip("the plugin is not installed as an entry point here")
    folder = Pairs().forge(tmp_path).path
    recipe = Recipe(epochs=1, steps_per_epoch=1)
    dataset = Choice("pairs", local={"path": str(folder)})
    config = RunConfig(dataset=dataset, network=Choice("unet2d"), method=Choice("ce"), recipe=recipe)
    outcome = run(config, results_root=tmp_path / "results")
    rows = read_scores(outcome.folder).to_pylist()
    assert {row["unit"] for row in rows if row["metric"] == "hd95"} == {"px"}
    assert all("@px:" in row["truth"] for row in rows)
    written = sorted((outcome.folder / "predictions-native").iterdir())
    assert len(written) == len({row["case_id"] for row in rows})
    for path in written:
        assert path.name.endswith("_mask.png") and Image.open(path).mode == "RGB"
        again = read_label_map(path, colours={(255, 0, 0): 1, (0, 255, 0): 2})
        kept = read_label_map(outcome.folder / "predictions" / path.name.replace("_mask.png", ".nii.gz"))
        assert np.array_equal(again.array, kept.array)
