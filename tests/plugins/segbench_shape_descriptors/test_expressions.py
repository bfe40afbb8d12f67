"""The constraints by hand: what is understood, what is refused and where, and that nothing runs as code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segbench import DataInvalid, DataMissing, LabelMap
from segbench_shape_descriptors import centroid, length, volume
from segbench_shape_descriptors.bounds import evaluate
from segbench_shape_descriptors.checking import Margins, check_rules
from segbench_shape_descriptors.descriptors import Shape
from segbench_shape_descriptors.expressions import parse_rule, read_rules
from segbench_shape_descriptors.terms import Term

LABELS = ("background", "RV", "Myo", "LV", "left atrium (upper)")


def value(text):
    p = torch.randn(2, 5, 6, 7, generator=torch.Generator().manual_seed(0)).softmax(1)
    (rule,) = parse_rule(f"{text} <= 0", LABELS)
    return p, evaluate(rule.left, Shape(p, length=True))


def test_values():
    p, found = value("length(Myo)/length(LV)")
    torch.testing.assert_close(found, length(p)[:, 2] / length(p)[:, 3])
    p, found = value("-2.5e1 + 2*(volume(RV) - volume(LV))/4 - -1")
    torch.testing.assert_close(found, -25 + (volume(p)[:, 1] - volume(p)[:, 3]) / 2 + 1)
    p, found = value('centroid("left atrium (upper)") - centroid( RV , 1 )')
    torch.testing.assert_close(found, centroid(p)[:, 4] - centroid(p)[:, 1, 1:2])
    assert evaluate(parse_rule("volume(RV) >= 2-3-4", LABELS)[0].left, Shape(p)) == -5  # from left to right


def test_chains_and_directions():
    first, second = parse_rule("2 <= length(Myo)/length(LV) <= 3", LABELS)
    assert not first.terms[0].axis and first.left.value == 2 and second.right.value == 3
    (down,) = parse_rule("volume(RV) >= 100", LABELS)
    assert down.left.value == 100 and down.right == Term("volume", 1, None)
    (same,) = parse_rule("centroid(Myo) == centroid(LV)", LABELS)
    assert same.equal and [term.label for term in same.terms] == [2, 3]


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("volume(RV)", 11, "<=, >= or =="),
        ("volume(RV) < 3", 12, "<=, >= or =="),
        ("volume(Rv) >= 1", 8, "Did you mean 'RV'"),
        ("volum(RV) >= 1", 1, "'volum'"),
        ("volume RV >= 1", 8, r"'\('"),
        ("volume(RV >= 1", 8, "a class"),
        ("(volume(RV) >= 1", 13, r"'\)'"),
        ("volume(RV) >= ", 15, "the end"),
        ("volume(RV) >= 1 extra", 17, "'extra'"),
        ("1 <= 2", 7, "numbers only"),
        ("volume(RV, 0) >= 1", 12, "no axis"),
        ("centroid(RV, 7) >= 1", 14, "0, 1 or 2"),
        ("1 <= volume(RV) >= 2", 21, "the same sign"),
        ("__import__('os').system('true') <= 1", 1, "__import__"),
        ("volume(RV) <= 1; 2", 16, "';"),
        ("volume() <= 1", 8, "a class"),
        ("", 1, "the end"),
        ("(" * 500 + "1", 51, "nested"),
        ("volume(RV)" + " + 1" * 3000 + " <= 3", 410, "at most 100 numbers"),
        ("1e999 <= volume(RV)", 6, "numbers up to 1e.30"),
        ("1e20*1e20*volume(RV) <= 1", 10, "numbers up to 1e.30"),
        ("volume(RV)/0 <= 3", 13, "a divisor of at least 0.01"),
        ("volume(RV)/(1-1) <= 3", 17, "a divisor of at least 0.01"),
        ("volume(RV)/0.001 <= 3", 17, "a divisor of at least 0.01"),
        ("orientation(Myo) == centroid(LV)", 33, "as many components"),
        ("spread(Myo) + orientation(LV) <= 3", 31, "as many components"),
    ],
)
def test_faults_say_where(text, position, words):
    with pytest.raises(DataInvalid, match=words) as error:
        parse_rule(text, LABELS)
    assert f"position {position}," in str(error.value)


@given(st.text(alphabet="volumecentroid(RVLM) ,0123.<>=+-*/\"'_", max_size=40))
def test_any_text_is_parsed_or_refused_in_words(text):
    try:
        assert parse_rule(text, LABELS)
    except DataInvalid as error:
        assert "position" in str(error)


def test_components_that_go_together():
    for text in (
        "centroid(RV) == centroid(LV) + 2*spread(Myo)",
        "centroid(RV, 0) <= volume(LV)",
        "orientation(RV) <= 1",
    ):
        assert len(parse_rule(text, LABELS)) == 1


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("volume(RV) >= 100", set()),
        ("volume(RV)/2 <= volume(LV) + 1", set()),
        ("2 <= volume(RV)/volume(LV)", {3}),
        ("volume(RV) <= 1/(2*volume(LV) - 3)", {3}),
        ("centroid(RV, 0) <= volume(LV)", {1}),
    ],
)
def test_classes_that_a_rule_needs(text, needed):
    assert parse_rule(text, LABELS)[0].needed == needed


def test_longest_constraint_is_evaluated():
    _, found = value(" + ".join(["volume(RV)"] * 99))
    assert found.shape == (2, 1)


def test_training_and_audits_divide_alike():
    mask = torch.zeros(1, 5, 6, 7)
    mask[0, 1, 2, 3] = mask[0, 3, :2, :2] = 1
    label_map = LabelMap(np.array(mask.argmax(1)[0].numpy(), dtype=np.uint8), (1.0, 1.0))
    rules = parse_rule("volume(LV)/(volume(RV) - 1) <= 3", LABELS)
    trained = evaluate(rules[0].left, Shape(mask)) - 3
    (audited,) = check_rules(rules, label_map, Margins(0.1), physical=False)
    assert float(trained) == pytest.approx(400 - 3) and audited.excess == pytest.approx(float(trained))


def test_files(tmp_path):
    path = tmp_path / "rules.toml"
    with pytest.raises(DataMissing, match="Check the path"):
        read_rules(path, LABELS)
    path.write_text('constraints = ["2 <= length(Myo)/length(LV) <= 3", "centroid(Myo) == centroid(LV)"]')
    assert len(read_rules(path, LABELS)) == 3
    for wrong in (
        "constraints = " + "[" * 3000,
        "constraints = 3",
        "constraints = [1]",
        "constraints = []",
        "other = 1",
        "constraints = [",
    ):
        path.write_text(wrong)
        with pytest.raises(DataInvalid, match="rules"):
            read_rules(path, LABELS)
