"""Named segments: 3D Slicer's files, DICOM SEG, label tables in NIfTI; by name, overlapping, on a box of their own."""

from __future__ import annotations

import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segbench import load_catalogue
from segbench.errors import DataInvalid
from segbench.files.images import read_label_map
from segbench.files.segments import Coding
from segbench.files.tables import find_table, names_of_files, read_names
from segbench.scoring.cases import Setting, score_pair
from segbench.scoring.geometry import on_common_box
from segbench.scoring.naming import recoded
from segbench.scoring.pairs import Pair
from segbench.types import Choice, LabelMap, Task

SHAPE = (6, 10, 12)
SPACING = (3.0, 2.0, 1.5)
ORIGIN = np.array([-20.0, 7.0, 40.0])
LIVER, TUMOUR = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
LIVER[1:5, 2:8, 3:9] = True
TUMOUR[3:5, 6:9, 6:10] = True  # partly outside
OTHER = np.roll(TUMOUR, 1, axis=2)


def nrrd_of(
    path: Path, layers: list[np.ndarray], segments: list[tuple[str, int, int]], begin=(0, 0, 0), **more
) -> Path:
    """Write a file as 3D Slicer does: ``layers`` (D, H, W), ``begin`` the place of the box in the image."""
    nrrd = pytest.importorskip("nrrd")
    origin = ORIGIN + np.array(begin)[::-1] * np.array(SPACING)[::-1]
    columns = np.diag(SPACING[::-1])
    header = {
        "space": "left-posterior-superior",
        "kinds": ["domain"] * 3,
        "space directions": columns,
        "space origin": origin,
        "encoding": more.pop("encoding", "gzip"),
    }
    array = layers[0].T
    if len(layers) > 1:
        header |= {"kinds": ["list", "domain", "domain", "domain"]}
        header["space directions"] = np.vstack([np.full((1, 3), np.nan), columns])
        array = np.stack([layer.T for layer in layers])
    for number, (name, layer, value) in enumerate(segments):
        header |= {f"Segment{number}_ID": f"S{number}", f"Segment{number}_Name": name}
        header |= {f"Segment{number}_Layer": str(layer), f"Segment{number}_LabelValue": str(value)}
    nrrd.write(str(path), np.ascontiguousarray(array), header | more)
    return path


def nifti(path: Path, array: np.ndarray, extension: str = "") -> Path:
    affine = np.diag([*SPACING[::-1], 1.0])
    affine[:3, 3] = ORIGIN
    affine[:2] *= -1
    image = nibabel.Nifti1Image(array.T.astype(np.uint8), affine)
    if extension:
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, extension.encode()))
    nibabel.save(image, path)
    return path


def scores(truth: Path, predicted: Path, **settings) -> tuple[dict[tuple[str, str], float], list[str]]:
    catalogue = load_catalogue()
    metrics = tuple(catalogue.metric(Choice(name)) for name in ("dice", "hd"))
    task = Task("t", "r", ("background", "Liver", "tumour"))
    setting = Setting(task, metrics, known=frozenset({1, 2}), **settings)
    outcome = score_pair(Pair("c", "c", truth, predicted), setting)
    assert outcome.truth, outcome.problems
    found = {(metrics[metric].name, name): value for metric, name, _, value, _ in outcome.scores}
    assert [label for _, _, label, _, _ in outcome.scores] == [1, 2] * 2
    return found, [problem.what for problem in outcome.problems]


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second))


def apart(liver: np.ndarray, tumour: np.ndarray, values=(1, 2)) -> np.ndarray:
    return np.where(tumour, values[1], np.where(liver, values[0], 0)).astype(np.uint8)


def test_swapped_numbers_are_matched_by_name(tmp_path):
    truth = nrrd_of(tmp_path / "t.seg.nrrd", [apart(LIVER, TUMOUR)], [("liver", 0, 1), ("tumour", 0, 2)])
    swapped = nrrd_of(tmp_path / "p.seg.nrrd", [apart(LIVER, TUMOUR, (2, 1))], [("Tumour", 0, 1), ("Liver", 0, 2)])
    found, notes = scores(truth, swapped)
    assert found == {("dice", "Liver"): 1, ("dice", "tumour"): 1, ("hd", "Liver"): 0, ("hd", "tumour"): 0}
    assert any("names of its segments" in note for note in notes)
    names = read_label_map(swapped).names
    assert names == {"Tumour": (1,), "Liver": (2,)}
    found, _ = scores(nifti(tmp_path / "t.nii.gz", apart(LIVER, TUMOUR)), swapped)
    assert found["dice", "Liver"] == found["dice", "tumour"] == 1


@pytest.mark.parametrize("encoding", ["gzip", "raw"])
def test_overlapping_layers_are_scored_whole(tmp_path, encoding):
    segments = [("Liver", 0, 1), ("tumour", 1, 1)]
    truth = nrrd_of(tmp_path / "t.seg.nrrd", [LIVER.astype("u1"), TUMOUR.astype("u1")], segments, encoding=encoding)
    read = read_label_map(truth)
    for name, mask in (("Liver", LIVER), ("tumour", TUMOUR)):
        assert np.array_equal(np.isin(read.array, read.names[name]), mask)
    predicted = nrrd_of(tmp_path / "p.seg.nrrd", [LIVER.astype("u1"), OTHER.astype("u1")], segments)
    found, _ = scores(truth, predicted)
    assert found["dice", "Liver"] == 1 and found["dice", "tumour"] == pytest.approx(dice(OTHER, TUMOUR))
    assert found["hd", "tumour"] == pytest.approx(1.5)
    found, _ = scores(truth, nifti(tmp_path / "p.nii.gz", apart(LIVER, OTHER)))
    assert found["dice", "Liver"] == pytest.approx(dice(LIVER & ~OTHER, LIVER))
    assert found["dice", "tumour"] == pytest.approx(dice(OTHER, TUMOUR))


def test_older_files_have_one_layer_per_segment_and_no_values(tmp_path):
    path = nrrd_of(tmp_path / "t.seg.nrrd", [LIVER.astype("u1"), TUMOUR.astype("u1")], [])
    content = path.read_bytes()
    head, _, rest = content.partition(b"\n\n")
    path.write_bytes(head + "\nSegment0_Name:=Léber\nSegment1_Name:=Tumour".encode() + b"\n\n" + rest)
    read = read_label_map(path)
    assert np.array_equal(np.isin(read.array, read.names["Léber"]), LIVER)


@pytest.mark.parametrize("turned", [False, True])
def test_each_file_has_an_extent_of_its_own(tmp_path, turned):
    whole = apart(LIVER, OTHER)
    box = nrrd_of(
        tmp_path / "p.seg.nrrd", [whole[1:6, 1:9, 2:11]], [("Liver", 0, 1), ("tumour", 0, 2)], begin=(1, 1, 2)
    )
    truth = nifti(tmp_path / "t.nii.gz", apart(LIVER, TUMOUR))
    if turned:
        image = nibabel.as_closest_canonical(nibabel.load(truth))
        nibabel.save(image, truth)
        assert nibabel.load(truth).affine[0, 0] > 0
    found, _ = scores(truth, box)
    assert found["dice", "tumour"] == pytest.approx(dice(OTHER, TUMOUR))
    assert found["dice", "Liver"] == pytest.approx(dice(LIVER & ~OTHER, LIVER & ~TUMOUR))
    other = nrrd_of(
        tmp_path / "t.seg.nrrd",
        [apart(LIVER, TUMOUR, (5, 3))[0:5, 2:10, 1:12]],
        [("Liver", 0, 5), ("tumour", 0, 3)],
        begin=(0, 2, 1),
    )
    for predicted, reference in ((box, other), (tmp_path / "p.nii.gz", other)):
        if predicted.suffix == ".gz":
            nifti(predicted, whole)
        found, _ = scores(reference, predicted)
        assert found["dice", "tumour"] == pytest.approx(dice(OTHER, TUMOUR))


def test_what_lies_outside_the_image_is_counted(tmp_path):
    box = LabelMap(np.ones((2, 2, 2), np.uint8), (1.0, 1.0, 1.0), np.eye(4), cropped=True)
    affine = np.eye(4)
    affine[0, 3] = 1
    truth = LabelMap(np.zeros((4, 4, 4), np.uint8), (1.0, 1.0, 1.0), affine)
    predicted, reference, note = on_common_box(box, truth)
    assert predicted.array.sum() == 4 and reference.array.shape == (4, 4, 4) and "4 voxels" in note
    half = LabelMap(box.array, box.spacing, np.eye(4) + 0.5 * np.eye(4, k=3), cropped=True)
    assert on_common_box(half, truth) == (half, truth, "")


@pytest.mark.parametrize(
    ("segments", "words"),
    [
        ([("a", 0, 1), ("a", 0, 2)], "twice"),
        ([("a", 0, 1), ("b", 0, 1)], "value twice"),
        ([("a", 0, 1)], "that the header names"),
        ([("a", 3, 1), ("b", 0, 2)], "layers 0 to 0"),
        ([("a", 0, 0), ("b", 0, 2)], "segments in layers"),
    ],
)
def test_headers_that_do_not_fit_are_refused(tmp_path, segments, words):
    path = nrrd_of(tmp_path / "x.seg.nrrd", [apart(LIVER, TUMOUR)], segments)
    with pytest.raises(DataInvalid, match=words):
        read_label_map(path)


def test_the_label_table_of_totalsegmentator(tmp_path):
    table = (
        '<?xml version="1.0" encoding="UTF-8"?> <CaretExtension> <VolumeInformation Index="0"> <LabelTable>'
        '<Label Key="2" Red="0.1" Green="0" Blue="0" Alpha="1"><![CDATA[liver]]></Label>'
        '<Label Key="1" Red="0.1" Green="0" Blue="0" Alpha="1"><![CDATA[tumour]]></Label>'
        "</LabelTable> <StudyMetaDataLinkSet> </StudyMetaDataLinkSet> <VolumeType><![CDATA[Label]]></VolumeType>"
        "</VolumeInformation></CaretExtension>"
    )
    predicted = nifti(tmp_path / "p.nii.gz", apart(LIVER, TUMOUR, (2, 1)), table)
    assert read_label_map(predicted).names == {"liver": (2,), "tumour": (1,)}
    found, _ = scores(nifti(tmp_path / "t.nii.gz", apart(LIVER, TUMOUR)), predicted)
    assert found["dice", "Liver"] == found["dice", "tumour"] == 1
    assert read_label_map(nifti(tmp_path / "q.nii.gz", apart(LIVER, TUMOUR), "nothing" * 99)).names == {}


def test_names_that_are_no_structures_leave_values(tmp_path):
    predicted = nrrd_of(tmp_path / "p.seg.nrrd", [apart(LIVER, TUMOUR)], [("Segment_1", 0, 1), ("Segment_2", 0, 2)])
    found, notes = scores(nifti(tmp_path / "t.nii.gz", apart(LIVER, TUMOUR)), predicted)
    assert found["dice", "Liver"] == 1 and any("compared by values" in note for note in notes)


def test_codes_of_combinations():
    coding = Coding()
    one, two, three = (np.array(bits, bool) for bits in ([1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]))
    codes = coding.encode((4,), [("one", one), ("two", two), ("three", three)])
    names = coding.names()
    assert [np.isin(codes, names[name]).tolist() for name in ("one", "two", "three")] == [
        one.tolist(),
        two.tolist(),
        three.tolist(),
    ]
    assert all(names.values())


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "u4", "i8"])
def test_values_of_any_size_are_recoded(dtype):
    largest = min(614454277, np.iinfo(dtype).max)
    array = np.array([[[0, 3, largest, 5]]]).astype(dtype)
    found = recoded(LabelMap(array, (1.0, 1.0, 1.0)), {3: 1, largest: 300, 9: 4})
    assert found.array.tolist() == [[[0, 1, 300, 0]]]
    assert recoded(LabelMap(array, (1.0, 1.0, 1.0)), {3: 1}).array.tolist() == [[[0, 1, 0, 0]]]
    assert recoded(LabelMap(array, (1.0, 1.0, 1.0)), {}).array.tolist() == [[[0, 0, 0, 0]]]


def test_one_volume_per_label(tmp_path):
    labels = apart(LIVER, TUMOUR)
    for name, values in (("with", (0, 1, 2)), ("without", (1, 2))):
        volumes = np.stack([value == labels.T for value in values], axis=-1).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(volumes, np.eye(4)), tmp_path / f"{name}.nii.gz")
        with pytest.raises(DataInvalid, match="one-hot"):
            read_label_map(tmp_path / f"{name}.nii.gz")
        found = read_label_map(tmp_path / f"{name}.nii.gz", one_hot=True)
        assert (np.array_equal(found.array, labels) and name in found.notes[0]) or name == "with"
    both = np.stack([LIVER.T, TUMOUR.T], axis=-1).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(both, np.eye(4)), tmp_path / "x.nii.gz")
    with pytest.raises(DataInvalid, match="in several"):
        read_label_map(tmp_path / "x.nii.gz", one_hot=True)
    nibabel.save(nibabel.Nifti1Image(both * np.uint8(2), np.eye(4)), tmp_path / "x.nii.gz")
    with pytest.raises(DataInvalid, match="values 0, 2"):
        read_label_map(tmp_path / "x.nii.gz", one_hot=True)


def dicom_of(path: Path, masks: dict[str, np.ndarray], kind: str = "BINARY", *, keep_empty: bool = False) -> Path:
    """Write a segmentation of a made-up CT series with highdicom."""
    highdicom = pytest.importorskip("highdicom")
    pydicom = pytest.importorskip("pydicom")
    from pydicom.sr.codedict import codes

    series, study, frame, volume_uid = (pydicom.uid.generate_uid() for _ in range(4))
    sources = []
    for index in range(SHAPE[0]):
        source = pydicom.Dataset()
        source.file_meta = pydicom.dataset.FileMetaDataset()
        source.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        source.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        source.SOPInstanceUID, source.SeriesInstanceUID = pydicom.uid.generate_uid(), series
        source.StudyInstanceUID, source.FrameOfReferenceUID = study, frame
        source.PatientID, source.PatientName, source.PatientBirthDate, source.PatientSex = "p", "p", "", ""
        source.StudyDate, source.StudyTime, source.StudyID, source.AccessionNumber = "", "", "", ""
        source.ReferringPhysicianName, source.Modality, source.SeriesNumber = "", "CT", 1
        source.InstanceNumber = index + 1
        source.Rows, source.Columns = SHAPE[1:]
        source.PixelSpacing, source.SliceThickness = [SPACING[1], SPACING[2]], SPACING[0]
        source.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        source.ImagePositionPatient = [*ORIGIN[:2], ORIGIN[2] + index * SPACING[0]]
        source.BitsAllocated = source.BitsStored = 16
        source.HighBit, source.PixelRepresentation, source.SamplesPerPixel = 15, 0, 1
        source.PhotometricInterpretation = "MONOCHROME2"
        sources.append(source)
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.Organ,
            segmented_property_type=codes.SCT.Liver,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, name in enumerate(masks, 1)
    ]
    array = np.stack(list(masks.values()), axis=-1).astype(np.uint8)
    if kind == "LABELMAP":
        array = apart(*masks.values())
    if kind == "FRACTIONAL":
        array = array.astype(np.float32) * 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = highdicom.seg.Segmentation(
            source_images=sources,
            pixel_array=array,
            segmentation_type=kind,
            segment_descriptions=described,
            series_instance_uid=volume_uid,
            series_number=2,
            sop_instance_uid=pydicom.uid.generate_uid(),
            instance_number=1,
            manufacturer="m",
            manufacturer_model_name="m",
            software_versions="1",
            device_serial_number="1",
            omit_empty_frames=not keep_empty,
        )
        found.save_as(path)
    return path


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_dicom_segmentations_lie_where_the_series_does(tmp_path, kind):
    masks = {"Liver": LIVER & ~TUMOUR, "tumour": TUMOUR}
    path = dicom_of(tmp_path / "p.dcm", masks, kind)
    read = read_label_map(path)
    assert read.spacing == pytest.approx(SPACING) and set(read.names) == {"Liver", "tumour"}
    found, _ = scores(nifti(tmp_path / "t.nii.gz", apart(LIVER, OTHER)), path)
    assert found["dice", "tumour"] == pytest.approx(dice(OTHER, TUMOUR))
    assert found["dice", "Liver"] == pytest.approx(dice(LIVER & ~TUMOUR, LIVER & ~OTHER))
    assert found["hd", "tumour"] == pytest.approx(1.5)
    found, _ = scores(path, nifti(tmp_path / "p.nii.gz", apart(LIVER, OTHER)))
    assert found["dice", "tumour"] == pytest.approx(dice(OTHER, TUMOUR))


def test_dicom_segments_that_overlap_and_fractional_ones(tmp_path):
    path = dicom_of(tmp_path / "p.dcm", {"Liver": LIVER, "tumour": TUMOUR})
    found, _ = scores(path, dicom_of(tmp_path / "q.dcm", {"tumour": OTHER, "Liver": LIVER}))
    assert found["dice", "Liver"] == 1 and found["dice", "tumour"] == pytest.approx(dice(OTHER, TUMOUR))
    with pytest.raises(DataInvalid, match="fractional"):
        read_label_map(dicom_of(tmp_path / "f.dcm", {"Liver": LIVER}, "FRACTIONAL"))
    (tmp_path / "x.dcm").write_bytes(b"nothing")
    with pytest.raises(DataInvalid):
        read_label_map(tmp_path / "x.dcm")
    content = path.read_bytes()
    for length in range(0, len(content), 997):
        (tmp_path / "x.dcm").write_bytes(content[:length])
        with pytest.raises(DataInvalid):
            read_label_map(tmp_path / "x.dcm")


def test_tables_beside_the_maps(tmp_path):
    text = "# FreeSurfer\n0 Unknown 0 0 0 0\n17  Left-Hippocampus 220 216 20 0\n53 Right-Hippocampus 220 216 20 0\n"
    (tmp_path / "FreeSurferColorLUT.txt").write_text(text)
    assert find_table(tmp_path) == tmp_path / "FreeSurferColorLUT.txt"
    assert read_names(tmp_path / "FreeSurferColorLUT.txt") == {"Left-Hippocampus": (17,), "Right-Hippocampus": (53,)}
    text = '# ITK-SnAP\n    0     0    0    0        0  0  0    "Clear Label"\n'
    text += '    1   255    0    0        1  1  1    "my liver"\n'
    (tmp_path / "x.label").write_text(text)
    assert read_names(tmp_path / "x.label") == {"my liver": (1,)}
    assert find_table(tmp_path) is None  # two
    (tmp_path / "x.label").write_text("1 liver\n")
    with pytest.raises(DataInvalid, match="line 1"):
        read_names(tmp_path / "x.label")
    assert find_table(tmp_path) == tmp_path / "FreeSurferColorLUT.txt"


def test_names_over_files(tmp_path):
    one = nrrd_of(tmp_path / "1.seg.nrrd", [apart(LIVER, TUMOUR)], [("Liver", 0, 1), ("tumour", 0, 2)])
    two = nrrd_of(tmp_path / "2.seg.nrrd", [apart(LIVER, TUMOUR)], [("tumour", 0, 1), ("liver", 0, 2)])
    plain = nifti(tmp_path / "t.nii.gz", apart(LIVER, TUMOUR))
    assert names_of_files([plain]) == {}
    assert names_of_files([one, plain]) == {"Liver": (1,), "tumour": (2,)}
    assert names_of_files([two, one]) == {"tumour": (1,), "liver": (2,)}
