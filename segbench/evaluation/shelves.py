"""What lies in a folder of cases as it is shipped: label maps, images beside them, or one file per structure.

A folder that has label maps of its own is taken as it is. Otherwise every folder below it that has some is a case (or
holds several): where a name says that it is a segmentation (``x-seg``, ``x_gt``, ``segmentation``, ``GT``), the other
files there are images; where the same names come in folder after folder and none says so, each is one structure.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from segbench.files.filenames import Files, bare, files_in

DEPTH = 5
"""Levels of folders that are looked through."""
MAP_WORDS = frozenset(
    (
        *(
            "seg",
            "segm",
            "segmentation",
            "segmentations",
            "gt",
            "label",
            "labels",
            "labelmap",
            "mask",
            "masks",
            "truth",
        ),
        *("groundtruth", "manual", "dseg", "pred", "prediction", "predictions", "labelsfortraining"),
    )
)
"""Names of files and folders that say "a segmentation" and nothing else."""
IMAGE_WORDS = frozenset(
    (
        *("image", "img", "imaging", "images", "volume", "ct", "cta", "cbct", "mr", "mri", "pet", "t1", "t1c", "t1ce"),
        *(
            "t1gd",
            "t1n",
            "t1w",
            "t2",
            "t2w",
            "t2f",
            "flair",
            "fla",
            "dwi",
            "adc",
            "pd",
            "ir",
            "image_contrast",
            "t1_ir",
        ),
        *("t1_1mm", "t2_flair", "reg_t1", "reg_ir", "orig", "4d"),
    )
)
"""Names of files that are images and never structures."""
CHOSEN = ("aggregated_MAJ_seg",)
"""Of several segmentations of one case under these names, the one that is meant (KiTS 2021: the majority's)."""


@dataclass(frozen=True)
class Leaf:
    """A folder that has label maps of its own.

    Attributes:
        name: of the case, if it is one: the folder's, or its parent's where the folder is called ``segmentations``.
        files: what is in it, less the images.
        images: number of files that were taken for images.
    """

    name: str
    files: Files
    images: int

    def parts(self) -> dict[str, str]:
        """Return stem -> what is left of it without the name of the case, e.g. ``seg`` of ``case_1-seg``."""
        return {stem: _part(stem, self.name) for stem in self.files.names}


@dataclass(frozen=True)
class Shelf:
    """Label maps by case.

    Attributes:
        files: case -> its label map; more than one is ambiguous.
        layers: case -> structure -> its file, where each structure has one; ``files`` is empty then.
        words: how they were found, "" for a folder of label maps.
        images: number of files that were left as images.
    """

    files: Files = field(default_factory=Files)
    layers: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    words: str = ""
    images: int = 0

    @property
    def structures(self) -> tuple[str, ...]:
        """All structures that have files, sorted."""
        return tuple(sorted({name for layers in self.layers.values() for name in layers}))


def is_map(name: str, case: str = "") -> bool:
    """Return whether a stem says that it is a segmentation."""
    return bare(name) != name or _part(name, case).lower() in MAP_WORDS


def leaves_of(folder: Path) -> list[Leaf]:
    """Return the folders below one that hold label maps; linked ones are not entered."""
    found: list[tuple[Path, Leaf]] = []
    settled: set[Path] = set()
    for path in _walk(folder):
        if not settled.isdisjoint(path.parents):
            continue  # the case has its label map; what is deeper made it
        files = files_in(path)
        if files.names:
            leaf, by_name = _leaf(path, folder, files)
            found.append((path, leaf))
            settled |= {path} if by_name else set()
    return _apart([(path, leaf) for path, leaf in found if leaf.files.names], folder)


def _apart(found: Sequence[tuple[Path, Leaf]], root: Path) -> list[Leaf]:
    """Return leaves under names that tell different cases apart: with their parents' where folders share one."""
    owners: dict[str, set[tuple[str, ...]]] = {}
    for path, leaf in found:
        owners.setdefault(leaf.name, set()).add(_case_parts(path, root))
    shared = {name for name, parts in owners.items() if len(parts) > 1}
    return [
        replace(leaf, name="_".join(_case_parts(path, root))) if leaf.name in shared else leaf for path, leaf in found
    ]


def _case_parts(path: Path, root: Path) -> tuple[str, ...]:
    return tuple(part for part in path.relative_to(root).parts if part.lower() not in MAP_WORDS)


def _walk(folder: Path) -> list[Path]:
    paths = []
    for where, folders, _ in os.walk(folder, followlinks=False):
        path = Path(where)
        depth = len(path.relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_"))) if depth < DEPTH else []
        folders[:] = [name for name in folders if not (path / name).is_symlink()]
        if depth:
            paths.append(path)
    return paths


def _leaf(path: Path, root: Path, files: Files) -> tuple[Leaf, bool]:
    """Return a leaf less its images, and whether names said which files are segmentations."""
    parts = _case_parts(path, root)
    name = parts[-1] if parts else path.name
    names = list(files.names)
    maps = [one for one in names if is_map(one, name)]
    chosen = [one for one in maps if one in CHOSEN]
    kept = chosen or maps or [one for one in names if _part(one, name).lower() not in IMAGE_WORDS]
    if len(names) == 1 and not kept and _part(names[0], name) == "":
        kept = names
    shown = Files({one: files.names[one] for one in kept}, files.faults)
    return Leaf(name, shown, len(names) - len(kept)), bool(maps)


def _part(stem: str, case: str) -> str:
    """Return a stem without the name of its case in front."""
    rest = stem[len(case) :] if case and stem.lower().startswith(case.lower()) else None
    return stem if rest is None or (rest and rest[0] not in "._- ") else rest.strip("._- ")


def shelf_of(folder: Path, known: Sequence[str] = (), *, structured: bool | None = None) -> Shelf:
    """Return the label maps in a folder, or below it.

    Args:
        folder: of cases.
        known: names of the cases of the other side, where they are known.
        structured: whether files that recur are one structure each; None = as they look.
    """
    direct = files_in(folder)
    if direct.names and structured:
        layers = {bare(stem): paths[0] for stem, paths in direct.names.items()}
        name = folder.parent.name if folder.name.lower() in MAP_WORDS else folder.name
        return Shelf(layers={name: layers}, words="one case, one file per structure")
    if direct.names:
        return Shelf(direct)
    leaves = leaves_of(folder)
    images = sum(leaf.images for leaf in leaves)
    if structured or (structured is None and _recur(leaves, known)):
        layers_of: dict[str, dict[str, Path]] = {}
        for leaf in leaves:
            layers_of.setdefault(leaf.name, {}).update(
                {bare(part): leaf.files.names[stem][0] for stem, part in leaf.parts().items()}
            )
        shelf = Shelf(layers=layers_of, images=images)
        listed = ", ".join(shelf.structures[:4]) + (", ..." if len(shelf.structures) > 4 else "")
        return Shelf(layers=layers_of, images=images, words=f"one folder per case, one file per structure ({listed})")
    return Shelf(_by_case(leaves, known), words="folders of cases" if leaves else "", images=images)


def _recur(leaves: Sequence[Leaf], known: Sequence[str]) -> bool:
    """Return whether several names come in folder after folder, and are not the names of cases."""
    parts = [
        {bare(part) for stem, part in leaf.parts().items() if part == stem or bare(stem) == stem} - {""}
        for leaf in leaves
    ]  # without patient1_frame1_gt, patient1_frame2_gt, which are cases
    several = [names for names in parts if len(names) > 1]
    counts = Counter(name for names in parts for name in names)
    recurring = {name for name, count in counts.items() if count > 1}
    return bool(several) and len(recurring) > 1 and not recurring & {bare(name) for name in known}


def _by_case(leaves: Sequence[Leaf], known: Sequence[str]) -> Files:
    """Return the files named by their case: their own names, or those of their folders."""
    stems = [stem for leaf in leaves for stem in leaf.files.names]
    twice = {stem for stem, count in Counter(stems).items() if count > 1}
    single = all(len(leaf.files.names) == 1 for leaf in leaves)
    names: dict[str, list[Path]] = {}
    others = {bare(name) for name in known}
    for leaf in leaves:
        for stem, paths in leaf.files.names.items():
            alone = len(leaf.files.names) == 1
            own = stem if bare(stem) in others or not alone else ""
            generic = _part(stem, leaf.name).lower() in MAP_WORDS or (single and bool(twice))
            folder = leaf.name in others or (alone and generic)
            names.setdefault(own or (leaf.name if folder else stem), []).extend(paths)
    faults = Files.merged(leaf.files for leaf in leaves).faults
    return Files(dict(sorted(names.items())), faults)
