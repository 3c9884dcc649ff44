import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from raytrain.config.as_typed import keep_typed
from raytrain.config.load import load_config, override_config
from raytrain.config.schema import Config
from raytrain.config.stored import load_stored
from raytrain.errors import ConfigError
from raytrain.storage.directory import Directory

# What YAML takes for booleans, numbers, dates and nothing.
TYPED = [
    *("yes", "no", "on", "off", "Yes", "y", "true", "null", "~", "01", "1.0", "1e3", "0x10", "1_000", "1:30"),
    *("2020-01-01", ".nan", "-1", "谣言"),
]
ODD = ["", "=", "<<", "a: b", "#x", "- a", "?", "!x", "&a", "*a", "@", "`", "%", "'", '"', "\n"]


def load(*overrides):
    return load_config(None, ["data.path=a.csv", *overrides])


def weights_of(config):
    return config.train.class_weight


def test_labels_are_what_was_typed(tmp_path):
    typed = "{" + ", ".join(f"{label}: {place + 1}" for place, label in enumerate(TYPED)) + "}"
    wanted = {label: place + 1.0 for place, label in enumerate(TYPED)}
    assert weights_of(load(f"train.class_weight={typed}")) == wanted
    assert weights_of(override_config(load(), [f"train.class_weight={typed}"])) == wanted
    path = tmp_path / "a.yaml"
    lines = "".join(f"    {label}: {weight}\n" for label, weight in wanted.items())
    path.write_text(f"# mine\ndata: {{path: a.csv}}\ntrain:\n  class_weight:\n{lines}", encoding="utf-8")
    assert weights_of(load_config(path)) == wanted


@pytest.mark.parametrize("label", ["yes", "01", "null", "1e3"])
def test_labels_of_a_dotted_key_and_of_costs_are_what_was_typed(label):
    assert weights_of(load(f"train.class_weight.{label}=2")) == {label: 2}
    costs = load("ensemble.threshold=cost", f"ensemble.costs={{{label}: {{no: 5}}, no: {{{label}: 2}}}}")
    assert costs.ensemble.costs == {label: {"no": 5}, "no": {label: 2}}


def test_two_spellings_of_a_boolean_are_two_labels():
    assert weights_of(load("train.class_weight={yes: 1, Yes: 2, 1: 3, 1.0: 4}")) == {
        **{"yes": 1, "Yes": 2, "1": 3, "1.0": 4}
    }


@pytest.mark.parametrize("typed", ["{yes: 1, yes: 2}", "{01: 1, '01': 2}"])
def test_a_label_that_stands_there_twice_is_refused(typed):
    with pytest.raises(ConfigError, match="duplicate"):
        load(f"train.class_weight={typed}")


@given(st.dictionaries(st.sampled_from(TYPED + ODD) | st.text(), st.floats(0.5, 9), min_size=1))
def test_a_stored_config_has_the_same_labels(tmp_path_factory, weights):
    config = Config(data={"path": "a.csv"}, train={"class_weight": weights})
    run = Directory(str(tmp_path_factory.mktemp("run")))
    run.write_bytes("config.yaml", config.to_yaml().encode())
    assert weights_of(load_stored(run)) == weights


@pytest.mark.parametrize(
    "text", ["a: 1\n# b\nc: [yes, 1e-3, 'no', ${a}]\n", "", "x", "a: [", "1", "{a.b: 2}"]
)
def test_what_has_no_doubtful_key_stays_as_it_is(text):
    assert keep_typed(text) == text


def test_values_stay_what_they_are():
    text = "1: yes\nb: &x {no: [1e-3, 01, null, 2020-01-01, '1', \"2\"]}\nc: *x\n"
    kept = yaml.safe_load(keep_typed(text))
    assert kept == {"1": True, "b": {"no": yaml.safe_load(text)["b"][False]}, "c": kept["b"]}


TEXTS = [text for text in TYPED if text not in ("null", "~")]


@pytest.mark.parametrize(
    "key", ["data.label", "data.id", "folds.group", "encoder.checkpoint", "words.vectors", "storage"]
)
def test_values_that_are_texts_are_what_was_typed(tmp_path, key):
    section, _, leaf = key.rpartition(".")
    path = tmp_path / "a.yaml"
    for text in TEXTS:
        lines = ["data:", "  path: a.csv", *([f"{section}:"] if section not in ("", "data") else [])]
        lines.append(f"  {leaf}: {text}" if section else f"{leaf}: {text}")
        path.write_text("\n".join(lines), encoding="utf-8")
        for config in (load(f"{key}={text}"), override_config(load(), [f"{key}={text}"]), load_config(path)):
            assert config.flat()[key] == text


def test_lists_of_texts_are_what_was_typed():
    config = load("data.text=[on, 1.0]", "data.labels=[01, no]", "name=2024")
    assert (config.data.text, config.data.labels, config.name) == (["on", "1.0"], ["01", "no"], "2024")


def test_nothing_is_no_text():
    config = load("data.id=null", "folds.group=~", "data.label='null'")
    assert (config.data.id, config.folds.group, config.data.label) == (None, None, "null")


def test_other_values_are_none(tmp_path):
    config = load("train.compile=yes", "baseline=no", "cluster.gpus_per_fold=1", "sweep.space={a: [1, yes]}")
    assert (config.train.compile, config.baseline, config.cluster.gpus_per_fold) == (True, False, 1)


def test_aliases_are_looked_at_once():
    lines = ["a0: &a0 {1: x}"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    assert keep_typed("\n".join(lines)).count("'1'") == 1


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("train.class_weight={yes: .nan}", "train.class_weight.yes"),
        ("train.class_weight={01: .inf}", "train.class_weight.01"),
        ("train.class_weight={谣言: x}", "train.class_weight.谣言"),
        ("ensemble.costs={yes: {no: .nan}}", "ensemble.costs.yes.no"),
    ],
)
def test_a_weight_that_is_no_finite_number_is_told_with_its_label(override, key):
    with pytest.raises(ConfigError) as caught:
        load(override)
    keys = [problem.partition(":")[0] for problem in caught.value.problems]
    assert [told for told in keys if told != "ensemble"] == [key]
