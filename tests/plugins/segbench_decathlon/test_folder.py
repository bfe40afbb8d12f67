"""Whatever stands in dataset.json or splits_final.json ends in a dataset or in an error in words."""

from __future__ import annotations

import copy
import json
import random

import pytest

from segbench import SegbenchError
from segbench_decathlon.decathlon import Decathlon
from segbench_decathlon.nnunet import NNUNet

JUNK = [
    None,
    True,
    0,
    -1,
    1.5,
    float("nan"),
    10**30,
    "",
    "x",
    "../x",
    "\0",
    "a" * 5000,
    [],
    {},
    [[]],
    {"": None},
    "\ud800",
]


def places(content, path=()):
    yield path
    items = (
        content.items() if isinstance(content, dict) else enumerate(content[:3]) if isinstance(content, list) else ()
    )
    for key, item in items:
        yield from places(item, (*path, key))


def spoil(content, generator):
    *path, last = generator.choice([place for place in places(content) if place])
    for key in path:
        content = content[key]
    junk = copy.deepcopy(generator.choice(JUNK))
    if isinstance(content, dict) and generator.random() < 0.4:
        value = content.pop(last)
        if generator.random() < 0.5:
            content[str(junk)] = value
    else:
        content[last] = junk


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "name"), [(Decathlon, "dataset.json"), (NNUNet, "dataset.json"), (NNUNet, "splits_final.json")]
)
def test_spoilt_descriptions_never_escape_as_another_error(tmp_path, kind, name):
    dataset = kind(use_test_images=True).forge(tmp_path)
    path = dataset.path / name
    whole = json.loads(path.read_text())
    generator = random.Random(0)
    outcomes = set()
    for _ in range(400):
        content = copy.deepcopy(whole)
        spoil(content, generator)
        path.write_text(json.dumps(content))
        try:
            dataset.prepare(tmp_path)
            dataset.refs()
            "".join(dataset.task.labels).encode()
            outcomes.add("read")
        except SegbenchError as error:
            assert str(dataset.path) in str(error)
            outcomes.add("refused")
    assert "refused" in outcomes
