#!/usr/bin/env bash
# SimpleITK 2.5.3 reading MetaImage (.mha) whose header declares an intensity transform.
# One would guess: ElementToIntensityFunctionSlope and ...Offset are applied, as NIfTI's scl_slope and scl_inter are.
# Seen: they are ignored and the stored values come out; a NIfTI of the same numbers is scaled.
# Source: the tag is one of the MetaIO format, https://itk.org/Wiki/MetaIO/Documentation; what SimpleITK does was seen here.
# Fails if this changes.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
python3 -m pip install --quiet --target "$room" SimpleITK==2.5.3 numpy==2.4.6
ROOM="$room" PYTHONPATH="$room" python3 - <<'P'
import os
import struct
from pathlib import Path

import SimpleITK as sitk

room = Path(os.environ["ROOM"])
stored = [2, 4, 6, 8]
header = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nDimSize = 2 2 1\n"
    "ElementSpacing = 1 1 1\nElementToIntensityFunctionSlope = 0.5\nElementToIntensityFunctionOffset = 10\n"
    "ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
)
(room / "a.mha").write_bytes(header.encode() + struct.pack("<4h", *stored))
meta = sitk.GetArrayFromImage(sitk.ReadImage(str(room / "a.mha"))).ravel().tolist()

plain = sitk.GetImageFromArray(sitk.GetArrayFromImage(sitk.ReadImage(str(room / "a.mha"))))
sitk.WriteImage(plain, str(room / "a.nii"))
content = bytearray((room / "a.nii").read_bytes())
content[112:120] = struct.pack("<2f", 0.5, 10.0)  # scl_slope, scl_inter
(room / "a.nii").write_bytes(bytes(content))
nifti = sitk.GetArrayFromImage(sitk.ReadImage(str(room / "a.nii"))).ravel().tolist()

print("SimpleITK", sitk.Version.VersionString(), "MetaImage gives", meta, "NIfTI gives", nifti)
assert [float(value) for value in meta] == [2.0, 4.0, 6.0, 8.0], "MetaImage is scaled now"
assert [float(value) for value in nifti] == [11.0, 12.0, 13.0, 14.0], "NIfTI is not scaled any more"
P
