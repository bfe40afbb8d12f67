"""What the two datasets of this plugin have in common as parts: parameters, cases by name, loading."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from segbench import Case, CaseRef, DataInvalid, DataMissing, Dataset, Task, did_you_mean, parameter
from segbench_decathlon import folder as folders
from segbench_decathlon.folder import Entry


@dataclasses.dataclass
class TaskFolder(Dataset):
    """A folder with images, label maps and a dataset.json; ``prepare`` of a subclass fills in what was found."""

    path: Path | None = parameter(None, "the folder, or a folder that holds just this one", content=False)
    use_test_images: bool = parameter(False, "offer the images of imagesTs as unlabelled cases")
    group_pattern: str = parameter("", "regular expression whose first group in a case id is the patient; '' = the id")
    entries_: dict[str, Entry] = dataclasses.field(init=False, repr=False, default_factory=dict)
    ignore_: int | None = dataclasses.field(init=False, repr=False, default=None)
    task_: Task | None = dataclasses.field(init=False, repr=False, default=None)

    @property
    def task(self) -> Task:
        """What is to be segmented; valid after ``prepare``."""
        if self.task_ is None:
            raise DataMissing("Expected a prepared dataset, found a fresh one. Call prepare(root) first.")
        return self.task_

    def refs(self) -> Sequence[CaseRef]:
        """Return the cases in the order in which the folder lists them."""
        return folders.make_refs(self.entries_, self.group_pattern)

    def load(self, ref: CaseRef) -> Case:
        """Read one case; voxels of an ignore label become -1.

        Raises:
            DataInvalid: unreadable files, grids that differ, labels out of range.
        """
        if ref.id not in self.entries_:
            raise DataInvalid(f"case {ref.id!r}: expected a case of {self.name}. {did_you_mean(ref.id, self.entries_)}")
        return folders.load_case(ref.id, self.entries_[ref.id], self.task, self.ignore_)
