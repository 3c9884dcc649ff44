import copy
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.fusion.rule import FusionRule, member_name, read_rule
from raytrain.fusion.stack import Stack

NAMES = ["finetune/r0", "finetune/r1", "textcnn/r0", "tfidf/r0"]
MEMBERS = {
    "finetune/r0": np.array([[0.9, 0.1], [0.4, 0.6]]),
    "textcnn/r0": np.array([[0.5, 0.5], [0.2, 0.8]]),
}
STACK = Stack(np.array([[0.0, 0, 0, 0], [-1, 1, -0.5, 0.5]]), np.array([0, 0.25]))
WHOLE = FusionRule(
    {"finetune/r0": 0.25, "textcnn/r0": 0.75}, "logits", STACK, 2.0, np.array([[0, 1], [3.0, 0]])
)


def test_a_member_is_an_architecture_in_a_repeat():
    assert member_name("textcnn", 2) == "textcnn/r2"


def test_members_are_averaged_by_weight_whatever_their_order():
    rule = FusionRule({"finetune/r0": 0.25, "textcnn/r0": 0.75})
    expected = [[0.6, 0.4], [0.25, 0.75]]
    np.testing.assert_allclose(rule.proba(MEMBERS), expected)
    np.testing.assert_allclose(rule.proba(dict(reversed(MEMBERS.items()))), expected)
    assert rule.decide(rule.proba(MEMBERS)).tolist() == [0, 1]


def test_a_temperature_comes_after_the_average_and_a_decision_at_last():
    rule = FusionRule(
        {"finetune/r0": 0.5, "textcnn/r0": 0.5}, "logits", None, 2.0, np.array([[0, 1], [2.0, 0]])
    )
    odds = np.array([[9.0], [np.sqrt(1 / 6)]]) ** np.array([[0.25], [0.5]])  # √(9 · 1), then its root
    expected = np.concatenate([odds / (1 + odds), 1 / (1 + odds)], axis=1)
    np.testing.assert_allclose(rule.proba(MEMBERS), expected)
    assert rule.decide(np.array([[0.6, 0.4], [0.7, 0.3]])).tolist() == [1, 0]


def test_a_stack_stands_in_for_the_average():
    voices = np.stack([*MEMBERS.values()])
    np.testing.assert_array_equal(FusionRule(WHOLE.weights, stack=STACK).proba(MEMBERS), STACK.proba(voices))


def test_repeats_that_say_the_same_are_one_model():
    voices = {name: np.random.default_rng(len(name)).dirichlet([1, 1], 3) for name in ("finetune", "textcnn")}
    rule = FusionRule(
        {"textcnn/r0": 0.2, "finetune/r0": 0.3, "textcnn/r1": 0.5}, "logits", None, 2.0, WHOLE.costs
    )
    coef = np.random.default_rng(0).normal(size=(2, 6))
    for whole in (rule, FusionRule(rule.weights, stack=Stack(coef, np.array([0, 0.25])))):
        own = whole.of_single_models(["finetune", "textcnn"])
        assert [*own.weights] == ["finetune/r0", "textcnn/r0"]
        said = whole.proba({name: voices[name.partition("/")[0]] for name in whole.weights})
        one = own.proba({name: voices[name.partition("/")[0]] for name in own.weights})
        np.testing.assert_allclose(one, said)
        assert own.costs is whole.costs


def test_of_other_architectures_temperature_and_costs_stay():
    own = WHOLE.of_single_models(["textcnn"])
    assert own.weights == {"textcnn/r0": 1.0} and own.stack is None
    assert own.temperature == 2.0 and own.costs is WHOLE.costs


@pytest.mark.parametrize(
    ("rule", "plain"),
    [
        (FusionRule({"a/r0": 1.0}), True),
        (FusionRule({"a/r0": 1.0}, "logits"), True),
        (FusionRule({"a/r0": 0.25, "a/r1": 0.25, "b/r0": 0.5}), True),
        (FusionRule({"a/r0": 0.5, "b/r0": 0.5}, "logits"), False),
        (FusionRule({"a/r0": 1.0, "b/r0": 0.0}), False),
        (FusionRule({"a/r0": 1.0}, temperature=1.5), False),
        (FusionRule({"a/r0": 1.0}, costs=1 - np.eye(2)), False),
        (FusionRule({"a/r0": 1.0}, stack=STACK), False),
    ],
)
def test_plain_is_what_is_done_without_a_rule(rule, plain):
    assert rule.is_plain is plain


def test_members_of_weight_0_are_left_out_but_of_a_stack():
    rule = FusionRule({"a/r0": 0.4, "b/r0": 0.0, "c/r0": 0.6})
    assert rule.trimmed().weights == {"a/r0": 0.4, "c/r0": 0.6}
    stacked = FusionRule({"a/r0": 1.0, "b/r0": 0.0}, stack=STACK)
    assert stacked.trimmed() is stacked


@st.composite
def rules(draw):
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    num_classes, rng = draw(st.integers(2, 4)), np.random.default_rng(draw(st.integers(0, 999)))
    weights = dict(zip(names, rng.dirichlet(np.ones(len(names))).tolist(), strict=True))
    stack = Stack(rng.normal(size=(num_classes, len(names) * num_classes)), rng.normal(size=num_classes))
    costs = rng.random((num_classes, num_classes)) * (1 - np.eye(num_classes))
    return num_classes, FusionRule(
        weights,
        draw(st.sampled_from(["proba", "logits"])),
        draw(st.sampled_from([None, stack])),
        draw(st.floats(0.1, 10)),
        draw(st.sampled_from([None, costs])),
    )


@given(rules())
def test_what_is_written_as_json_is_read_as_it_was(drawn):
    num_classes, rule = drawn
    written = json.loads(json.dumps(rule.to_dict()))
    found = read_rule(written, num_classes)
    assert found.to_dict() == rule.to_dict() and [*found.weights] == [*rule.weights]
    voices = {name: np.full((3, num_classes), 1 / num_classes) for name in rule.weights}
    np.testing.assert_array_equal(found.proba(voices), rule.proba(voices))


def changed(key, value):
    values = copy.deepcopy(WHOLE.to_dict())
    place = values
    *path, last = key.split(".")
    for part in path:
        place = place[part]
    place[last] = value
    return values


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("members", {}, "members: expected names"),
        ("members", [1], "members: expected names"),
        ("members", {"../x": 1.0}, "is not an architecture and a repeat"),
        ("members", {"finetune": 1.0}, "is not an architecture and a repeat"),
        ("members", {"finetune/r01": 1.0}, "is not an architecture and a repeat"),
        ("members", {"finetune/r0": 1.5, "textcnn/r0": -0.5}, "weights of 0 or more"),
        ("members", {"finetune/r0": True}, "weights of 0 or more"),
        ("members", {"finetune/r0": NAN}, "weights of 0 or more"),
        ("members", {"finetune/r0": 0.5}, "sum to 1, found 0.5"),
        ("average", "median", "expected proba or logits"),
        ("average", ["proba"], "expected proba or logits"),
        ("temperature", 0, "temperature: expected a number above 0"),
        ("temperature", -1.0, "temperature: expected a number above 0"),
        ("temperature", NAN, "temperature: expected a number above 0"),
        ("temperature", INF, "temperature: expected a number above 0"),
        ("temperature", None, "temperature: expected a number above 0"),
        ("temperature", 10**400, "temperature: expected a number above 0"),
        ("costs", [[0, 1]], "costs: expected 2 × 2 finite numbers"),
        ("costs", [[0, 1], [1]], "costs: expected 2 × 2 finite numbers"),
        ("costs", [[0, NAN], [1, 0]], "costs: expected 2 × 2 finite numbers"),
        ("costs", [[0, "1"], [1, 0]], "costs: expected 2 × 2 finite numbers"),
        ("costs", [[0, -1], [1, 0]], "costs: expected none below 0"),
        ("costs", [[1, 1], [1, 0]], "0 where a label is right"),
        ("stack", {"coef": []}, "stack: expected coef and intercept"),
        ("stack.coef", [[0.0] * 4], "stack.coef: expected 2 × 4 finite numbers"),
        ("stack.coef", [[0.0] * 4, [0.0] * 3], "stack.coef: expected 2 × 4 finite numbers"),
        ("stack.coef", [[0.0] * 4, [INF] * 4], "stack.coef: expected 2 × 4 finite numbers"),
        ("stack.intercept", [0.0], "stack.intercept: expected 2 finite numbers"),
        ("stack.intercept", 0.0, "stack.intercept: expected 2 finite numbers"),
        ("later", 1, "expected the keys"),
    ],
)
def test_what_does_not_fit_is_refused(key, value, said):
    with pytest.raises(ValueError, match=r"expected|is not") as caught:
        read_rule(changed(key, value), 2)
    assert said in str(caught.value)


@pytest.mark.parametrize("values", [None, 3, [], {}, "rule"])
def test_what_is_no_rule_at_all_is_refused(values):
    with pytest.raises(ValueError, match="expected the keys"):
        read_rule(values, 2)


def test_all_that_is_wrong_is_told_at_once():
    values = changed("temperature", 0) | {"average": 1, "costs": []}
    with pytest.raises(ValueError, match=r"average: .*; temperature: .*; costs: "):
        read_rule(values, 2)


def test_an_architecture_without_a_weight_has_none_in_a_refit_either():
    own = FusionRule({"textcnn/r0": 1.0}, temperature=2.0).of_single_models(["finetune", "textcnn"])
    assert own.weights == {"finetune/r0": 0.0, "textcnn/r0": 1.0} and own.temperature == 2.0
