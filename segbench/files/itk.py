"""MetaImage and NRRD through SimpleITK, in a process of its own: a damaged file can crash or stall the C++ library.

The child (``python -m segbench.files.itk``, see ``child.py``) answers with the header and, if asked, leaves the voxels
in a file; it starts once and serves many.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.errors import DataInvalid, SegbenchError
from segbench.files.child import Child, Died, Stalled, serve
from segbench.files.headers import (
    LARGEST,
    REPLACE,
    Header,
    bytes_of,
    check_size,
    geometry_of,
    guarded,
    invalid,
    shape_of,
)
from segbench.litter import temporary

if TYPE_CHECKING:
    from numpy.typing import NDArray

PATIENCE = 600
"""Seconds after which a file is given up."""
CHILD = Child("segbench.files.itk")
"""The process that reads."""
_PIXELS = {
    "8-bit unsigned": "u1",
    "8-bit signed": "i1",
    "16-bit unsigned": "u2",
    "16-bit signed": "i2",
    "32-bit unsigned": "u4",
    "32-bit signed": "i4",
    "64-bit unsigned": "u8",
    "64-bit signed": "i8",
    "32-bit float": "f4",
    "64-bit float": "f8",
}
"""How SimpleITK calls its pixels."""


def read(path: Path, *, voxels: bool = True) -> tuple[Header, NDArray[Any]]:
    """Read header and voxels ``(C, D, H, W)``, or an empty array in their place.

    Raises:
        DataMissing: no such file.
        DataInvalid: SimpleITK is absent, gives the file up, crashes or stalls.
    """
    import numpy as np

    if importlib.util.find_spec("SimpleITK") is None:
        found = f"{path.suffix} without SimpleITK"
        raise invalid(path, "a format that is readable here", found, "pip install SimpleITK, or convert to .nii.gz.")
    if not path.is_file():
        raise IsADirectoryError(path) if path.is_dir() else FileNotFoundError(path)
    with temporary("voxels") as folder:
        try:
            content = CHILD.ask({"image": str(path.absolute()), "folder": str(folder), "voxels": voxels}, PATIENCE)
        except Stalled as error:
            raise invalid(path, "an answer in time", f"none after {PATIENCE} seconds", REPLACE) from error
        except Died as error:
            raise invalid(path, "a readable image", f"a file that ends SimpleITK ({error})", REPLACE) from error
        if "error" in content:
            raise DataInvalid(f"{path}: {content['error']}")
        header = Header(
            shape=tuple(content["shape"]),
            spacing=tuple(content["spacing"]),
            affine=np.array(content["affine"]),
            dtype=np.dtype(content["dtype"]),
        )
        return header, np.load(folder / "voxels.npy", allow_pickle=False) if voxels else np.empty(0)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answer one request of ``read`` in the child process."""
    import numpy as np

    path = Path(request["image"])
    try:
        with guarded(path):
            reader, header = _header(path)
            if request["voxels"]:
                np.save(Path(request["folder"]) / "voxels.npy", _voxels(reader, header))
            return header._asdict() | {"affine": header.affine.tolist(), "dtype": header.dtype.str}
    except SegbenchError as error:
        return {"error": str(error).removeprefix(f"{path}: ")}


def _header(path: Path) -> tuple[Any, Header]:
    import numpy as np

    simpleitk: Any = importlib.import_module("SimpleITK")
    simpleitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = simpleitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    lengths = [int(length) for length in reader.GetSize()]
    pixel = simpleitk.GetPixelIDValueAsString(reader.GetPixelID()).removeprefix("vector of ")
    dtype = next((np.dtype(code) for name, code in _PIXELS.items() if pixel.startswith(name)), None)
    if dtype is None or min(lengths) < 1 or len(lengths) not in (2, 3, 4):
        raise invalid(path, "2 to 4 axes of numbers", f"{pixel} of shape {tuple(lengths)}", "Convert the image.")
    axes = min(3, len(lengths))
    spacing = np.ones(3)
    spacing[:axes] = reader.GetSpacing()[:axes]
    direction = np.eye(3)
    direction[:axes, :axes] = np.reshape(reader.GetDirection(), (len(lengths), len(lengths)))[:axes, :axes]
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing
    affine[:axes, 3] = reader.GetOrigin()[:axes]
    affine[:2] *= -1  # ITK's world is LPS
    channels, *grid = shape_of(path, lengths)
    shape = (channels * int(reader.GetNumberOfComponents()), grid[0], grid[1], grid[2])
    sizes, affine = geometry_of(path, [len(lengths), *lengths, 1, 1], spacing.tolist(), affine, 1.0)
    header = Header(shape, sizes, affine, dtype)
    if path.suffix.lower() not in (".mhd", ".nhdr"):  # whose voxels lie in another file
        check_size(path, bytes_of(header), path.stat().st_size, True)
    elif bytes_of(header) > LARGEST:
        check_size(path, bytes_of(header), 0, False)
    return reader, header


def _voxels(reader: Any, header: Header) -> NDArray[Any]:
    import numpy as np

    image = reader.Execute()
    voxels = importlib.import_module("SimpleITK").GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        voxels = np.moveaxis(voxels, -1, 0)
    return np.ascontiguousarray(voxels).reshape(header.shape)


if __name__ == "__main__":
    serve(answer)
