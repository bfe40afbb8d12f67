"""What the two datasets of this plugin have in common as parts: parameters, patients of cases, the ignore label."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from segbench import CaseRef, FolderDataset, parameter, patient_of


@dataclasses.dataclass
class TaskFolder(FolderDataset):
    """A folder with images, label maps and a dataset.json; ``prepare`` of a subclass fills in what was found."""

    use_test_images: bool = parameter(False, "offer the images of imagesTs as unlabelled cases")
    group_pattern: str = parameter("", "regular expression whose first group in a case id is the patient; '' = the id")

    def refs(self) -> Sequence[CaseRef]:
        """Return the cases in the order in which the folder lists them.

        Raises:
            UsageError: see ``segbench.patient_of``.
        """
        return [dataclasses.replace(ref, group=patient_of(ref.id, self.group_pattern)) for ref in super().refs()]
