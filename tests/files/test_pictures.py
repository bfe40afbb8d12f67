"""PNG, BMP, GIF and TIFF as label maps and images: stored values, palettes, colours, and what a pixel measures."""

from __future__ import annotations

import itertools
import struct
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from segbench.errors import DataInvalid, UsageError
from segbench.files.cases import CaseFiles, read_case
from segbench.files.colours import named_colours, parse_colour
from segbench.files.images import image_header, read_image, read_label_map
from segbench.types import Task

tifffile = pytest.importorskip("tifffile")

LABELS = np.random.default_rng(5).integers(0, 3, (9, 14)).astype(np.uint8)
VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]


def png(path: Path, rows: np.ndarray, *, depth: int, colour: int, palette: bytes = b"") -> Path:
    """Write a PNG byte by byte, independent of any library: samples of ``depth`` bits."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = rows.shape[:2]
    samples = rows.reshape(height, -1)
    if depth < 8:
        bits = np.unpackbits(samples.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth :].reshape(height, -1)
        lines = [b"\0" + np.packbits(row).tobytes() for row in bits]
    else:
        lines = [b"\0" + row.astype(f">u{depth // 8}").tobytes() for row in samples]
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"PLTE", palette) if palette else b""]
    parts += [chunk(b"IDAT", zlib.compress(b"".join(lines))), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_greys_of_every_depth_are_the_stored_samples(tmp_path, depth):
    stored = np.random.default_rng(depth).integers(0, 2**depth, (9, 14))
    found = read_label_map(png(tmp_path / "x.png", stored, depth=depth, colour=0))
    assert np.array_equal(found.array, stored[None])
    assert found.unit == "px" and found.spacing == (1, 1, 1)
    assert np.array_equal(read_image(tmp_path / "x.png")[0][0, 0], stored)


@pytest.mark.parametrize("depth", [2, 4, 8])
def test_palette_indices_are_the_labels_and_colours_the_image(tmp_path, depth):
    path = png(tmp_path / "x.png", LABELS, depth=depth, colour=3, palette=bytes(VOC))
    assert np.array_equal(read_label_map(path).array, LABELS[None])
    image, _, _ = read_image(path)
    colours = np.array(VOC).reshape(-1, 3)[LABELS]
    assert np.array_equal(image[:, 0], colours.transpose(2, 0, 1))
    assert image_header(path).shape == image.shape == (3, 1, 9, 14)
    table = {(128, 0, 0): 7, (0, 128, 0): 300}
    assert np.array_equal(read_label_map(path, colours=table).array[0], np.array([0, 7, 300])[LABELS])


def test_an_index_beyond_the_palette_is_refused(tmp_path):
    path = png(tmp_path / "x.png", LABELS, depth=8, colour=3, palette=bytes(VOC[:6]))
    with pytest.raises(DataInvalid, match="below 2"):
        read_label_map(path)


@pytest.mark.parametrize("ending", [".bmp", ".gif", ".tif", ".png"])
@pytest.mark.parametrize("mode", ["P", "L", "1"])
def test_every_format_keeps_stored_values(tmp_path, ending, mode):
    values = LABELS if mode != "1" else (LABELS > 0).astype(np.uint8)
    image = Image.fromarray(values)
    if mode == "P":
        image.putpalette(VOC + [0] * (768 - len(VOC)))
    image = image.point(lambda value: value * 255).convert("1") if mode == "1" else image
    image.save(tmp_path / f"x{ending}")
    found = read_label_map(tmp_path / f"x{ending}")
    whites = 255 if (ending, mode) == (".gif", "1") else 1  # GIF has no single bits
    assert np.array_equal(found.array, values[None] * np.uint8(whites))
    assert found.unit == "px"
    assert image_header(tmp_path / f"x{ending}").shape == read_image(tmp_path / f"x{ending}")[0].shape


def test_white_on_black_whatever_the_order_of_the_palette(tmp_path):
    mask = (LABELS > 0).astype(np.uint8)
    path = png(tmp_path / "x.png", 1 - mask, depth=1, colour=3, palette=bytes([255] * 3 + [0] * 3))
    found = read_label_map(path)
    assert np.array_equal(found.array[0], mask) and "white" in found.notes[0]
    tifffile.imwrite(tmp_path / "x.tif", mask == 0, photometric="miniswhite")
    assert np.array_equal(read_label_map(tmp_path / "x.tif").array[0], mask)


def test_colours_need_a_table_and_unknown_ones_are_counted(tmp_path):
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)[LABELS]
    Image.fromarray(colours).save(tmp_path / "x.png")
    tifffile.imwrite(tmp_path / "x.tif", colours, photometric="rgb")
    for name in ("x.png", "x.tif"):
        with pytest.raises(DataInvalid, match=r"#00ff00.*vessel=#ff0000"):
            read_label_map(tmp_path / name)
        names, table = named_colours({"vessel": "#f00", "disc": [0, 255, 0]})
        assert names == {"vessel": 1, "disc": 2}
        found = read_label_map(tmp_path / name, colours=table)
        assert np.array_equal(found.array[0], LABELS) and not found.notes
        found = read_label_map(tmp_path / name, colours={(255, 0, 0): 1})
        assert np.array_equal(found.array[0], LABELS == 1)
        assert f"{(LABELS == 2).sum()} pixels of 1 colours" in found.notes[0] and "#00ff00" in found.notes[0]


def test_grey_stored_as_colours_is_grey(tmp_path):
    Image.fromarray(np.stack([LABELS] * 3, -1)).save(tmp_path / "x.png")
    found = read_label_map(tmp_path / "x.png")
    assert np.array_equal(found.array[0], LABELS) and "equal" in found.notes[0]


def test_transparency_must_be_the_same_everywhere(tmp_path):
    alpha = np.full_like(LABELS, 255)
    Image.fromarray(np.stack([LABELS, alpha], -1)).save(tmp_path / "x.png")
    assert np.array_equal(read_label_map(tmp_path / "x.png").array[0], LABELS)
    alpha[3, 4] = 0
    Image.fromarray(np.stack([LABELS, alpha], -1)).save(tmp_path / "x.png")
    with pytest.raises(DataInvalid, match="transparency"):
        read_label_map(tmp_path / "x.png")


def test_jpeg_is_an_image_but_no_mask(tmp_path):
    Image.fromarray(LABELS * 100).save(tmp_path / "x.jpg")
    assert read_image(tmp_path / "x.jpg")[0].shape == (1, 1, 9, 14)
    with pytest.raises(DataInvalid, match="JPEG"):
        read_label_map(tmp_path / "x.jpg")


@pytest.mark.parametrize("text", ["#12", "red", "#gggggg", [1, 2], [1, 2, 256], [True, 0, 0], 5])
def test_what_is_no_colour_is_said(text):
    with pytest.raises(UsageError, match="colour such as"):
        parse_colour(text)
    with pytest.raises(UsageError, match="twice"):
        named_colours({"a": "#ff0000", "b": [255, 0, 0]})


def test_print_resolution_is_no_size(tmp_path):
    Image.fromarray(LABELS).save(tmp_path / "x.tif", dpi=(96, 96))
    Image.fromarray(LABELS).save(tmp_path / "x.png", dpi=(96, 96))
    Image.fromarray(LABELS).save(tmp_path / "x.bmp", dpi=(96, 96))
    tifffile.imwrite(tmp_path / "y.tif", LABELS, resolution=(100, 100), resolutionunit="CENTIMETER")
    for name in ("x.tif", "x.png", "x.bmp", "y.tif"):
        found = read_label_map(tmp_path / name)
        assert (found.unit, found.spacing) == ("px", (1, 1, 1)), name


@pytest.mark.parametrize(
    ("unit", "millimetres"),
    [("mm", 1), ("um", 1e-3), ("µm", 1e-3), ("micron", 1e-3), ("cm", 10), ("inch", 25.4), ("nm", 1e-6)],
)
def test_the_calibration_of_imagej(tmp_path, unit, millimetres):
    written = "\\u00B5m" if unit == "µm" else unit  # as ImageJ writes it
    stack = np.stack([LABELS] * 4)
    metadata = {"spacing": 2.5, "unit": written, "axes": "ZYX"}
    tifffile.imwrite(tmp_path / "x.tif", stack, imagej=True, resolution=(1 / 0.25, 1 / 0.5), metadata=metadata)
    found = read_label_map(tmp_path / "x.tif")
    assert found.unit == "mm" and np.array_equal(found.array, stack)
    assert found.spacing == pytest.approx((2.5 * millimetres, 0.5 * millimetres, 0.25 * millimetres))
    assert np.allclose(np.linalg.norm(found.affine[:3, :3], axis=0), found.spacing)


@pytest.mark.parametrize("unit", ["pixel", None, "furlong"])
def test_imagej_without_a_length_is_pixels(tmp_path, unit):
    metadata = {"axes": "YX"} | ({"unit": unit} if unit else {})
    tifffile.imwrite(tmp_path / "x.tif", LABELS, imagej=True, resolution=(4, 4), metadata=metadata)
    assert read_label_map(tmp_path / "x.tif").unit == "px"


def test_the_physical_sizes_of_ome(tmp_path):
    sizes = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 500.0, "PhysicalSizeYUnit": "nm", "PhysicalSizeZ": 2.0}
    stack = np.stack([LABELS] * 4)
    tifffile.imwrite(tmp_path / "x.ome.tif", stack, ome=True, metadata={"axes": "ZYX", **sizes})
    found = read_label_map(tmp_path / "x.ome.tif")
    assert found.unit == "mm" and found.spacing == pytest.approx((2e-3, 0.5e-3, 0.25e-3))
    tifffile.imwrite(tmp_path / "y.ome.tif", stack, ome=True, metadata={"axes": "ZYX"})
    assert read_label_map(tmp_path / "y.ome.tif").unit == "px"


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8", ">u2"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_of_every_type(tmp_path, dtype, compression):
    stack = np.random.default_rng(2).integers(0, 100, (3, 9, 14)).astype(dtype)
    order = ">" if dtype.startswith(">") else "<"
    settings = {"compression": compression, "rowsperstrip": 4, "byteorder": order, "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "x.tif", stack, **settings)
    assert np.array_equal(read_label_map(tmp_path / "x.tif").array, stack)
    tifffile.imwrite(tmp_path / "y.tif", stack, tile=(16, 16), bigtiff=True, photometric="minisblack")
    assert np.array_equal(read_label_map(tmp_path / "y.tif").array, stack)


@pytest.mark.parametrize("depth", [3, 4])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_three_or_four_slices_that_a_writer_took_for_colours(tmp_path, depth):
    """tifffile writes an array of three or four slices as planes of colours unless it is told otherwise."""
    stack = np.random.default_rng(2).integers(0, 5, (depth, 9, 14)).astype("u1")
    tifffile.imwrite(tmp_path / "x.tif", stack)
    found = read_label_map(tmp_path / "x.tif")
    assert np.array_equal(found.array, stack)
    assert bool(found.notes) == (tifffile.TiffFile(tmp_path / "x.tif").pages[0].photometric == 2)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "group4"])
def test_codecs_and_pages_as_pillow_writes_them(tmp_path, compression):
    pages = [LABELS, np.roll(LABELS, 3)]
    if compression == "group4":
        pages = [(page > 0).astype(np.uint8) for page in pages]
    images = [Image.fromarray(page * 255).convert("1") if compression == "group4" else page for page in pages]
    images = [Image.fromarray(one) if isinstance(one, np.ndarray) else one for one in images]
    images[0].save(tmp_path / "x.tif", save_all=True, append_images=images[1:], compression=compression)
    assert np.array_equal(read_label_map(tmp_path / "x.tif").array, np.stack(pages))


def test_a_strip_that_is_missing_is_not_background(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", LABELS, rowsperstrip=3, compression="zlib")
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        place = file.pages[0].tags["StripByteCounts"].valueoffset
    content = bytearray((tmp_path / "x.tif").read_bytes())
    content[place : place + 2] = b"\0\0"
    (tmp_path / "x.tif").write_bytes(content)
    with pytest.raises(DataInvalid, match="missing"):
        read_label_map(tmp_path / "x.tif")


def test_every_flipped_bit_of_a_png_is_noticed(tmp_path):
    """Pillow alone reads several of these as other labels: it does not verify the checksums of pixel chunks."""
    path = png(tmp_path / "x.png", LABELS, depth=8, colour=3, palette=bytes(VOC))
    content = path.read_bytes()
    for position, bit in itertools.product(range(8, len(content)), (0, 5)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << bit
        path.write_bytes(damaged)
        with pytest.raises(DataInvalid):
            read_label_map(path)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DataInvalid):
            read_label_map(path)


def test_bombs_and_animations_are_named(tmp_path):
    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 99)), (b"IEND", b""))
    )
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    with pytest.raises(DataInvalid):
        read_label_map(tmp_path / "x.png")
    frames = [Image.fromarray(np.roll(LABELS, step)) for step in range(3)]
    for ending in (".gif", ".png"):
        frames[0].save(tmp_path / f"y{ending}", save_all=True, append_images=frames[1:])
        with pytest.raises(DataInvalid, match=r"frames|animation"):
            read_label_map(tmp_path / f"y{ending}")
    tifffile.imwrite(tmp_path / "z.tif", LABELS)
    tifffile.imwrite(tmp_path / "z.tif", LABELS[:4], append=True)
    with pytest.raises(DataInvalid, match="different shapes"):
        read_label_map(tmp_path / "z.tif")


def test_a_case_takes_the_size_from_whoever_says_it(tmp_path):
    Image.fromarray(LABELS).save(tmp_path / "image.png")
    Image.fromarray(LABELS).save(tmp_path / "label.png")
    nibabel.save(nibabel.Nifti1Image(LABELS.T[..., None], np.diag([0.5, 0.25, 3, 1])), tmp_path / "label.nii.gz")
    task = Task("t", "r", ("background", "a", "b"))
    case = read_case("x", CaseFiles((tmp_path / "image.png",), tmp_path / "label.png"), task)
    assert case.truth.unit == "px" and case.spacing == (1, 1, 1)
    case = read_case("x", CaseFiles((tmp_path / "image.png",), tmp_path / "label.nii.gz"), task)
    assert case.truth.unit == "mm" and case.spacing == (3, 0.25, 0.5)
