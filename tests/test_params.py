"""Parameters: texts and JSON become checked values, values become JSON, and equal configurations have one identity."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segbench.config import Augmentation, Recipe, RunConfig
from segbench.errors import UnknownName, UsageError, did_you_mean, safe_name
from segbench.host import load_catalogue
from segbench.params import changes, describe, fingerprint, make, parameter, parse_assignments, to_json
from segbench.types import Choice

CATALOGUE = load_catalogue()
PARTS = [(kind, name) for kind in CATALOGUE.entries for name in CATALOGUE.names(kind)]


@dataclass(frozen=True)
class Inner:
    depth: int = parameter(1, "depth", low=0, high=9)
    names: tuple[str, ...] = parameter((), "names")


@dataclass(frozen=True)
class Everything:
    """One field of every type that parameters may have."""

    whole: int = parameter(3, "whole", low=1)
    number: float = parameter(0.5, "number", low=0, high=1)
    free: float = parameter(0.0, "any finite number")
    switch: bool = parameter(False, "switch")
    text: str = parameter("a", "text")
    word: Literal["left", "right"] = parameter("left", "word")
    count: Literal[31, 134] = parameter(31, "count")
    sizes: tuple[int, int, int] | None = parameter(None, "sizes", low=1)
    values: tuple[float, ...] = parameter((), "values")
    words: tuple[str, ...] = parameter((), "words")
    table: dict[str, float] = field(default_factory=dict, metadata={"help": "table"})
    path: Path | None = parameter(None, "where", content=False)
    file: Path | None = parameter(None, "a file that matters")
    jobs: int = parameter(1, "processes", content=False)
    inner: Inner = field(default_factory=Inner)
    maybe: Inner | None = None


@pytest.mark.parametrize(
    ("key", "given_value", "expected"),
    [
        ("whole", "8", 8),
        ("whole", 8, 8),
        ("number", "1", 1.0),
        ("number", "1e-3", 1e-3),
        ("switch", "true", True),
        ("switch", "0", False),
        ("text", "8", "8"),
        ("text", "none", "none"),
        ("text", "", ""),
        ("word", "right", "right"),
        ("count", "134", 134),
        ("sizes", "1,2,3", (1, 2, 3)),
        ("sizes", "1x2x3", (1, 2, 3)),
        ("sizes", "[1, 2, 3]", (1, 2, 3)),
        ("sizes", [1, 2, 3], (1, 2, 3)),
        ("sizes", "none", None),
        ("values", "1,2.5", (1.0, 2.5)),
        ("values", "2", (2.0,)),
        ("values", "", ()),
        ("words", "axial, coronal", ("axial", "coronal")),
        ("table", '{"a": 1}', {"a": 1.0}),
        ("path", "a/b", Path("a/b")),
        ("path", "", None),
        ("inner", {"depth": "4", "names": "x,y"}, Inner(4, ("x", "y"))),
        ("inner", Inner(2), Inner(2)),
        ("maybe", {"depth": 5}, Inner(5)),
        ("maybe", "none", None),
    ],
)
def test_texts_and_json_become_values(key: str, given_value: Any, expected: Any) -> None:
    value = getattr(make(Everything, {key: given_value}, "thing"), key)
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize(
    ("key", "wrong", "words"),
    [
        ("whole", "eight", "expected a whole number, found 'eight'"),
        ("whole", "8.5", "whole number"),
        ("whole", "", "whole number"),
        ("whole", None, "whole number"),
        ("whole", "0", "expected a value from 1, found 0"),
        ("number", "1.5", "between 0 and 1"),
        ("number", "-1", "between 0 and 1"),
        ("number", "nan", "found nan"),
        ("number", float("nan"), "found nan"),
        ("free", "nan", "that is finite"),
        ("free", "inf", "that is finite"),
        ("free", "-inf", "that is finite"),
        ("switch", "perhaps", "true or false"),
        ("word", "up", "one of left, right"),
        ("count", "32", "one of 31, 134"),
        ("sizes", "1,2", "3 values, each a whole number or none"),
        ("sizes", "1,0,2", "from 1"),
        ("sizes", "1,a,2", "3 values"),
        ("sizes", "[1,", "3 values"),
        ("values", "1,inf", "finite"),
        ("table", "{", "table"),
        ("table", "[]", "table"),
        ("inner", "3", "inner: expected parameters by name"),
        ("inner", {"depth": 10}, "inner: depth: expected a value between 0 and 9"),
        ("whole", {"a": 1}, "whole number"),
        ("text", ["a"], "text"),
    ],
)
def test_wrong_values_say_what_was_expected(key: str, wrong: Any, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        make(Everything, {key: wrong}, "thing")
    assert words in str(caught.value) and str(caught.value).startswith(f"thing: {key}")


def test_unknown_keys_are_answered_with_the_closest() -> None:
    with pytest.raises(UnknownName, match=r"thing has no parameter 'hole'. Did you mean 'whole'"):
        make(Everything, {"hole": 1}, "thing")
    with pytest.raises(UnknownName, match=r"thing: inner has no parameter 'dept'. Did you mean 'depth'"):
        make(Everything, {"inner": {"dept": 1}}, "thing")
    with pytest.raises(UnknownName, match=r"recipe: augmentation has no parameter 'flipp'. Did you mean 'flip'"):
        make(Recipe, parse_assignments(["recipe.augmentation.flipp=0"])["recipe"], "recipe")
    with pytest.raises(UsageError, match="expected parameters by name"):
        make(Everything, "3", "thing")  # type: ignore[arg-type]


def test_missing_and_refused_parameters() -> None:
    @dataclass
    class Strict:
        size: int
        odd: int = 1

        def __post_init__(self) -> None:
            if self.odd % 2 == 0:
                raise ValueError(f"odd must be odd, found {self.odd}")

    with pytest.raises(UsageError, match="strict needs size"):
        make(Strict, {}, "strict")
    with pytest.raises(UsageError, match="strict: odd must be odd, found 2"):
        make(Strict, {"size": 1, "odd": 2}, "strict")


def test_assignments_nest() -> None:
    nested = parse_assignments(
        ["dataset.cases=8", "recipe.augmentation.flip=0,1", "dataset.note=a=b", "dataset.cases=9"]
    )
    assert nested == {"dataset": {"cases": "9", "note": "a=b"}, "recipe": {"augmentation": {"flip": "0,1"}}}
    recipe = make(Recipe, nested["recipe"], "recipe")
    assert recipe.augmentation == Augmentation(flip=(0, 1)) and recipe.epochs == Recipe().epochs


@pytest.mark.parametrize("text", ["cases=8", "dataset.cases", "=8", ".cases=8", "dataset.=8", "", "dataset..a=1"])
def test_malformed_assignments(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected PART.KEY=VALUE"):
        parse_assignments([text])


def test_a_key_is_a_value_or_a_group_not_both() -> None:
    with pytest.raises(UsageError, match="already given a value"):
        parse_assignments(["recipe.augmentation=1", "recipe.augmentation.flip=0"])
    with pytest.raises(UsageError, match="already given parameters"):
        parse_assignments(["recipe.augmentation.flip=0", "recipe.augmentation=1"])


def values_of(cls: type[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy of instances of a dataclass within the ranges its fields declare."""
    whole, number = st.integers(0, 10**6), st.floats(0, 1e6)
    texts: dict[str, st.SearchStrategy[Any]] = {"spacing": st.sampled_from(["native", "median", "3,1,0.5"])}
    plain: dict[Any, Any] = {"int": whole, "float": number, "bool": st.booleans(), "str": st.text(max_size=5)}
    chosen: dict[str, st.SearchStrategy[Any]] = {}
    for one in dataclasses.fields(cls):
        low, high = one.metadata.get("low") or 0, one.metadata.get("high")
        if one.type == "int":
            chosen[one.name] = st.integers(int(low), int(high or 10**6))
        elif one.type == "float":
            chosen[one.name] = st.floats(float(low), float(high or 1e6))
        elif one.type in plain:
            chosen[one.name] = texts.get(one.name, plain[one.type])
    return st.builds(cls, **chosen)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_values_survive_json_and_text(data: st.DataObject) -> None:
    augmentation = data.draw(values_of(Augmentation))
    crop = data.draw(st.none() | st.tuples(*[st.integers(1, 512)] * 3))
    recipe = dataclasses.replace(data.draw(values_of(Recipe)), augmentation=augmentation, crop=crop)
    assert make(Recipe, json.loads(json.dumps(to_json(recipe))), "recipe") == recipe
    texts = {key: str(value) for key, value in to_json(augmentation).items() if not isinstance(value, list)}
    assert make(Augmentation, texts, "augmentation") == augmentation


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        Everything,
        whole=st.integers(1, 2**53),
        number=st.floats(0, 1),
        free=st.floats(allow_nan=False, allow_infinity=False),
        switch=st.booleans(),
        text=st.text(),
        sizes=st.none() | st.tuples(*[st.integers(1, 99)] * 3),
        values=st.lists(st.floats(-1, 1)).map(tuple),
        words=st.lists(st.text()).map(tuple),
        table=st.dictionaries(st.text(), st.floats(-1, 1)),
        inner=st.builds(Inner, st.integers(0, 9), st.lists(st.text()).map(tuple)),
        maybe=st.none() | st.builds(Inner, st.integers(0, 9)),
    )
)
def test_every_type_survives_json(thing: Everything) -> None:
    assert make(Everything, json.loads(json.dumps(to_json(thing))), "thing") == thing
    content, local = changes(thing)
    assert make(Everything, {**content, **local}, "thing") == thing


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_part_survives_json(kind: str, name: str) -> None:
    part = CATALOGUE.make(kind, Choice(name))
    again = CATALOGUE.make(kind, Choice(name, json.loads(json.dumps(to_json(part)))))
    assert to_json(again) == to_json(part) and changes(again) == ({}, {})
    for key, words, default, _ in describe(type(part)):
        assert words and default != "required", f"{key} has no default"


def test_described_defaults_come_from_factories_too() -> None:
    rows = {key: default for key, _, default, _ in describe(Everything)}
    assert rows["table"] == {} and rows["inner.depth"] == 1 and rows["whole"] == 3


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_fingerprints_refuse_what_json_cannot_say(bad: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        fingerprint([bad])


def test_fingerprints_do_not_depend_on_order() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


# --------------------------------------------------------------------------------------------------- a run's identity


def config(**parameters: Any) -> RunConfig:
    return RunConfig(CATALOGUE.settle("datasets", Choice("decathlon", parameters)), Choice("unet3d"), Choice("ce_dice"))


def test_the_identity_is_what_it_was() -> None:
    """If this fails, every finished run will be run again: change the number only when that is meant."""
    recipe = Recipe(epochs=3, learning_rate=0.01, augmentation=Augmentation(flip=(0, 1)))
    fixed = RunConfig(
        Choice("data", {"cases": 8}),
        Choice("net"),
        Choice("loss", {"weight": 0.5}),
        recipe=recipe,
        seed=1,
        fold=2,
        folds=5,
    )
    assert fixed.run_id("revision") == "9e7f20a9327e"


def test_recipe_and_parts_are_identified_by_one_rule() -> None:
    """What is spelt out but as usual is not part of the identity; what differs is, whatever it belongs to."""
    plain = config()
    said = dataclasses.replace(plain, recipe=Recipe(epochs=20, augmentation=Augmentation(rotation=10.0)))
    assert said.identity({}) == plain.identity({}) and "recipe" not in plain.identity({})["config"]
    cropped = dataclasses.replace(plain, recipe=Recipe(crop=(0, 256, 152)))
    lent = dataclasses.replace(plain, unlabelled=Choice("oasis", {"age": 40}, {"path": "/home/me/oasis"}))
    assert cropped.identity({})["config"]["recipe"] == {"crop": [0, 256, 152]}
    assert len({one.run_id("r") for one in (plain, cropped, lent)}) == 3
    assert "/home/me" not in json.dumps(lent.canonical()) and lent.local() == {"unlabelled": {"path": "/home/me/oasis"}}
    assert lent.variant() == "unlabelled.age=40 unlabelled=oasis" and cropped.variant() == "crop=0,256,152"


def test_metrics_and_decisions_do_not_name_a_training_but_precision_and_device_do() -> None:
    plain = config()
    scored = dataclasses.replace(plain, metrics=(Choice("dice"),), decision=(Choice("threshold", {"value": 0.3}),))
    assert scored.run_id("r") == plain.run_id("r")
    assert scored.canonical()["metrics"] == [{"name": "dice", "parameters": {}}]
    assert scored.canonical()["decision"] == [{"name": "threshold", "parameters": {"value": 0.3}}]
    asked = dataclasses.replace(plain, precision="32-true", device="cpu")
    assert asked.run_id("r", precision="32-true") == plain.run_id("r", precision="32-true")
    assert len({plain.run_id("r", precision=one) for one in ("32-true", "bf16-mixed")}) == 2
    assert len({plain.run_id("r", code={"method": one}) for one in ("a", "b")}) == 2


@pytest.mark.parametrize("spacing", ["abc", "", "1,1", "1,1,0", "1,1,-2", "1,1,nan", "1,1,1,1", "Native"])
def test_a_training_grid_that_makes_no_sense(spacing: str) -> None:
    with pytest.raises(UsageError, match=r"recipe\.spacing: expected native, median or three mm such as 3,1,1, found"):
        make(Recipe, {"spacing": spacing}, "recipe")


@pytest.mark.parametrize(
    ("text", "crop"), [("none", None), ("0,256,152", (0, 256, 152)), ("256x256x128", (256, 256, 128))]
)
def test_crops(text: str, crop: Any) -> None:
    assert make(Recipe, {"crop": text}, "recipe").crop == crop


@pytest.mark.parametrize("text", ["abc", "256", "256,256", "1,-1,1", "1.5,1,1", "0,0,0"])
def test_crops_that_make_no_sense(text: str) -> None:
    with pytest.raises(UsageError, match=r"recipe.*crop"):
        make(Recipe, {"crop": text}, "recipe")


def test_machine_paths_stay_out_of_the_identity(tmp_path: Path) -> None:
    mine, theirs = config(path="/home/me/Task04"), config(path=str(tmp_path))
    assert mine.run_id("r") == theirs.run_id("r") == config().run_id("r")
    assert "/home/me" not in json.dumps(mine.canonical())
    assert mine.local() == {"dataset": {"path": "/home/me/Task04"}}
    assert to_json(CATALOGUE.dataset(mine.dataset))["path"] == "/home/me/Task04"
    assert config(path="x", use_test_images=True).run_id("r") != mine.run_id("r")


def test_other_data_are_another_run() -> None:
    assert config().run_id("r1") != config().run_id("r2")


def test_spelling_out_a_default_changes_nothing() -> None:
    spelt = CATALOGUE.settle("methods", Choice("nonadj", {"control": "schedule", "schedule": {"growth": "1.3"}}))
    assert spelt == Choice("nonadj")
    text = CATALOGUE.settle("methods", Choice("nonadj", {"strength": "1"}))
    assert text == CATALOGUE.settle("methods", Choice("nonadj", {"strength": 1})) == Choice("nonadj", {"strength": 1.0})
    assert CATALOGUE.settle("methods", text) == text


def test_a_file_counts_with_its_content_not_its_place(tmp_path: Path) -> None:
    for name, content in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).write_text(content)
    a, b, c = (changes(Everything(file=tmp_path / name)) for name in "abc")
    assert a[0] == b[0] != c[0] and a[0]["file"].startswith("sha256:")
    assert a[1] == {"file": str(tmp_path / "a")}
    settled = Choice("thing", *a)
    assert make(Everything, {**settled.parameters, **settled.local}, "thing").file == tmp_path / "a"


def test_changes_of_nested_parts() -> None:
    @dataclass(frozen=True)
    class Reader:
        jobs: int = parameter(1, "processes", content=False)
        size: int = parameter(2, "size")
        depth: int = parameter(1, "stays out as long as it is the default")

    @dataclass(frozen=True)
    class Outer:
        reader: Reader = field(default_factory=Reader)

    assert changes(Outer(Reader(size=3))) == ({"reader": {"size": 3}}, {})
    content, local = changes(Outer(Reader(jobs=4, size=3)))
    assert content == {"reader": {"size": 3}} and {**local["reader"], **content["reader"]} == {"jobs": 4, "size": 3}


# ----------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "a\\b", "-a", "a b", "a\n", "é", "a" * 129, "\0", "~"])
def test_unsafe_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be used as a name"):
        safe_name(name, "case")


@pytest.mark.parametrize("name", ["a", "A1", "a.b_c+d@e-f", "0", "a" * 128, "a.."])
def test_safe_names_pass(name: str) -> None:
    assert safe_name(name, "case") == name


def test_did_you_mean() -> None:
    known: Mapping[str, int] = {"dice": 1, "iou": 2, "NSD": 3}
    assert did_you_mean("dise", known) == "Did you mean 'dice'?"
    assert did_you_mean("DICE", known) == "Did you mean 'dice'?"
    assert did_you_mean("nsd", known) == "Did you mean 'NSD'?"
    assert did_you_mean("zzz", known) == "Known: NSD, dice, iou."
    assert did_you_mean("zzz", []) == "None is known."


def test_a_variant_names_the_recipe_and_what_was_changed_of_it() -> None:
    paper = Recipe(epochs=3)
    same = dataclasses.replace(config(), recipe=paper, recipe_name="paper", base=paper)
    longer = dataclasses.replace(same, recipe=Recipe(epochs=9))
    assert (same.variant(), longer.variant()) == ("recipe=paper", "recipe=paper epochs=9")
    assert same.run_id("r") == dataclasses.replace(same, base=None).run_id("r")


def test_a_variant_names_only_what_differs_within_a_parameter() -> None:
    method = CATALOGUE.settle("methods", Choice("nonadj", {"schedule": {"ratio": 0.1}}))
    assert dataclasses.replace(config(), method=method).variant() == "method.schedule.ratio=0.1"
