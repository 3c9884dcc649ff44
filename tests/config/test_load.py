from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from raytrain.config.load import as_overrides, load_config, override_values, touches_data
from raytrain.config.validate import validate_config
from raytrain.errors import ConfigError, StorageError


def load(*overrides):
    return load_config(None, ["data.path=a.csv", *overrides])


def problems_of(*overrides):
    with pytest.raises(ConfigError) as caught:
        load(*overrides)
    return caught.value.problems


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_path_of_the_data_is_asked_for():
    with pytest.raises(ConfigError, match=r"data.*required.*data\.path="):
        load_config(None)


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("name=2026-rumours_v1.0", "name", "2026-rumours_v1.0"),
        ("data.text=[title,body]", "data.text", ["title", "body"]),
        ("data.text=微博", "data.text", "微博"),
        ("data.drop=[empty_text, rare_class]", "data.drop", ["empty_text", "rare_class"]),
        ("train.clip_norm=null", "train.clip_norm", None),
        ("train.learning_rate=5e-4", "train.learning_rate", 5e-4),
        ("train.weight_decay=1e-2", "train.weight_decay", 0.01),
        ("train.class_weight={谣言: 2.5, 其他: 1}", "train.class_weight", {"谣言": 2.5, "其他": 1.0}),
        ("train.class_weight={0: 2, true: 3}", "train.class_weight", {"0": 2.0, "true": 3.0}),
        ("train.class_weight=balanced", "train.class_weight", "balanced"),
        ("model.architecture=[textcnn,rnn_cnn]", "model.architecture", ["textcnn", "rnn_cnn"]),
        ("cluster.gpus_per_fold=0.25", "cluster.gpus_per_fold", 0.25),
        ("encoder.pretrained=false", "encoder.pretrained", False),
        ("storage=s3://bucket/a=b", "storage", "s3://bucket/a=b"),
    ],
)
def test_override_is_parsed_as_yaml(override, key, value):
    assert load(override).flat()[key] == value


def test_override_wins_over_the_file_and_leaves_its_neighbours(tmp_path):
    path = write(tmp_path / "a.yaml", "data: {path: a.csv, label: y}\ntrain: {epochs: 7, batch_size: 8}\n")
    config = load_config(path, ["train.epochs=2"])
    assert (config.train.epochs, config.train.batch_size, config.data.label) == (2, 8, "y")


def test_all_problems_are_told_at_once():
    problems = problems_of(
        "train.epoch=3", "folds.num_folds=1", "seed=many", "dta.path=x", "model.architecture=lstm"
    )
    text = "\n".join(problems)
    for key in ("train.epoch:", "folds.num_folds:", "seed:", "dta:", "model.architecture:"):
        assert key in text


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("stroage=runs", "storage"),
        ("train.epoch=3", "train.epochs"),
        ("encoder.max_len=64", "encoder.maxlen"),
        ("trian.epochs=3", None),
        ("learning_rate=0.1", "train.learning_rate"),
        ("cluster.gpu_per_fold=1", "cluster.gpus_per_fold"),
        ("words.vector=a.txt", "words.vectors"),
    ],
)
def test_unknown_key_says_what_was_meant(override, meant):
    (problem,) = problems_of(override)
    assert problem.startswith(f"{override.partition('=')[0].split('.')[0]}")
    assert "unknown key" in problem
    if meant:
        assert f"did you mean {meant}?" in problem


def test_unknown_key_unlike_any_other_points_to_the_help():
    assert problems_of("zzzz=1") == ["zzzz: unknown key; see --help for the keys"]


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("model.architecture=texcnn", "'texcnn'; did you mean textcnn?"),
        ("model.architecture=[texcnn,finetune]", "'texcnn'; did you mean textcnn?"),
        ("model.architecture=zzz", "'zzz'"),
        ("train.schedule=Linear", "'Linear'; did you mean linear?"),
        ("data.text={a: 5}", "{'a': 5}"),
        ("data.text=[null,b]", "None"),
    ],
)
def test_a_wrong_value_is_told_once_with_what_was_meant(override, found):
    [problem] = problems_of(override)
    assert problem.startswith(f"{override.partition('=')[0]}: ") and problem.endswith(f"; found {found}")


@pytest.mark.parametrize("item", ["epochs", "=3", "--epochs"])
def test_malformed_override_is_shown(item):
    with pytest.raises(ConfigError, match=r"key\.path=value") as caught:
        load(item)
    assert repr(item) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "data: [",
        "a: b: c",
        "data: {label: '${nowhere}'}",
        "\tname: x",
        b"name: \xff\xfe\n",
        "- a\n- b\n",
        "3",
    ],
)
def test_file_that_is_no_yaml_mapping_is_named(tmp_path, text):
    path = write(tmp_path / "broken.yaml", text)
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        load_config(path, ["data.path=a.csv"])


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.yaml.*No such file"):
        load_config(tmp_path / "absent.yaml")


def test_section_given_as_a_value_is_an_error():
    assert problems_of("train=5")[0].startswith("train:")


def test_empty_file_is_no_config_but_overrides_complete_it(tmp_path):
    assert load_config(write(tmp_path / "a.yaml", ""), ["data.path=a.csv"]) == load()


@settings(max_examples=30)
@given(
    st.fixed_dictionaries(
        {
            "name": st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9_-])?", fullmatch=True),
            "data": st.fixed_dictionaries(
                {
                    "path": st.text(
                        st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), min_size=1
                    ).filter(lambda path: "${" not in path),
                    "text": st.sampled_from(["text", "标题", ["a", "b"], "null", "1"]),
                }
            ),
            "train": st.fixed_dictionaries(
                {
                    "learning_rate": st.none() | st.floats(1e-9, 1),
                    "class_weight": st.sampled_from([None, "balanced", {"1": 2.0}, {"是": 0.5, "否": 1e-5}]),
                }
            ),
        }
    )
)
def test_yaml_round_trip(tmp_path_factory, values):
    config = validate_config(values)
    path = write(tmp_path_factory.mktemp("yaml") / "config.yaml", config.to_yaml())
    assert load_config(path) == config


def test_what_does_not_fit_together_is_told_beside_wrong_values():
    with pytest.raises(ConfigError) as caught:
        load("task=tag", "train.epochs=0", "model.architecture=[textcnn,crf]", "train.label_smoothing=0.1")
    told = "\n".join(caught.value.problems)
    assert "train.epochs" in told and "textcnn" in told and "train.label_smoothing" in told
    assert len(caught.value.problems) == 3


def test_a_config_may_lie_on_a_storage(tmp_path):
    (tmp_path / "best.yaml").write_text("# found\ndata:\n  path: a.csv\nseed: 7\n", encoding="utf-8")
    config = load_config(f"file://{tmp_path}/best.yaml", ["seed=8"])
    assert (config.data.path, config.seed) == ("a.csv", 8)
    with pytest.raises(ConfigError, match=r"other\.yaml: cannot read the config file"):
        load_config(f"file://{tmp_path}/other.yaml")


def test_config_error_has_exit_code_2():
    with pytest.raises(ConfigError) as caught:
        load("zzzz=1")
    assert caught.value.exit_code == 2


def test_from_python_two_underscores_stand_for_the_dot_and_come_last(tmp_path):
    path = write(tmp_path / "a.yaml", "data: {path: a.csv}\nseed: 1\ntrain: {epochs: 7}\n")
    config = load_config(path, ["seed=2", "train.batch_size=8"], seed=3, train__epochs=4, data__id=None)
    assert (config.seed, config.train.epochs, config.train.batch_size) == (3, 4, 8)


@pytest.mark.parametrize(
    ("given", "key", "value"),
    [
        ({"storage": Path("runs/甲")}, "storage", "runs/甲"),
        ({"data__text": ("a", "b")}, "data.text", ["a", "b"]),
        ({"data__drop": ["rare_class"]}, "data.drop", ["rare_class"]),
        ({"train__class_weight": {"谣言": 2}}, "train.class_weight", {"谣言": 2.0}),
        ({"data__label": "a=b"}, "data.label", "a=b"),
        ({"train__epochs": np.int64(4)}, "train.epochs", 4),
        ({"train__learning_rate": np.float32(0.5)}, "train.learning_rate", 0.5),
        (
            {"model__architecture": np.array(["finetune", "textcnn"])},
            "model.architecture",
            ["finetune", "textcnn"],
        ),
    ],
)
def test_values_from_python_are_taken_as_they_are(given, key, value):
    assert load_config(data__path="a.csv", **given).flat()[key] == value


@pytest.mark.parametrize("override", ["data=5", "data=null", "data.path=[]"])
def test_a_wrong_value_is_not_told_as_missing_too(override):
    with pytest.raises(ConfigError) as caught:
        load_config(None, [override])
    assert len(caught.value.problems) == 1 and "required" not in str(caught.value)


def test_an_outage_of_the_storage_is_no_mistake_of_the_config(monkeypatch):
    def gone(self, name):
        raise StorageError("s3://bucket: gone for 60 s")

    monkeypatch.setattr("raytrain.storage.directory.Directory.read_bytes", gone)
    with pytest.raises(StorageError, match="gone for 60 s"):
        load_config("file:///configs/a.yaml")


def test_values_from_python_that_cannot_be_used_are_told():
    with pytest.raises(ConfigError, match=r"train\.epoch: unknown key; did you mean train\.epochs"):
        load_config(data__path="a.csv", train__epoch=3)
    with pytest.raises(ConfigError, match=r"the given values: .*\s.*data\.path"):
        load_config(data__path=object())


@pytest.mark.parametrize(
    ("overrides", "touched"),
    [
        ([], False),
        (["name=data", "train.epochs=3"], False),
        (["database=x"], False),
        (["data.path=a.csv"], True),
        (["seed=1", "data.label=y"], True),
        (["data={path: a.csv}"], True),
        (["data=[unclosed"], True),
    ],
)
def test_whether_the_command_line_speaks_of_the_data(overrides, touched):
    assert touches_data(overrides) is touched


@pytest.mark.parametrize(
    ("overrides", "values"),
    [
        ([], {}),
        (["train.epochs=3", "seed=1"], {"train.epochs": 3, "seed": 1}),
        (["train={epochs: 5, batch_size: 8}"], {"train.epochs": 5, "train.batch_size": 8}),
        (as_overrides({"train": {"epochs": 5}}), {"train.epochs": 5}),
        (["train.epochs=3", "train={epochs: 5}"], {"train.epochs": 5}),
        (["model={architecture: [textcnn, tfidf]}"], {"model.architecture": ["textcnn", "tfidf"]}),
        (["train={class_weight: {a: 2}}"], {"train.class_weight": {"a": 2}}),
        (["model.architecture=[", "seed=1"], {"model.architecture": None, "seed": None}),
    ],
)
def test_what_overrides_give_a_value_however_they_are_written(overrides, values):
    assert override_values(overrides) == values


@pytest.mark.parametrize("override", ["data=a.csv", "train=[1, 2]", "model=null", "data.drop=empty_text"])
def test_a_value_of_a_wrong_kind_names_its_key(override):
    key = override.partition("=")[0]
    with pytest.raises(ConfigError) as caught:
        load_config(None, [override] if key == "data" else ["data.path=a.csv", override])
    assert caught.value.problems[0].startswith(f"{key}:") and "found" in caught.value.problems[0]


def test_each_problem_is_told_once():
    problems = problems_of("data.text=[a, b, c]", "seed=x")
    assert sorted(problem.split(":")[0] for problem in problems) == ["data", "seed"]


def test_a_directory_is_no_config(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the config file"):
        load_config(tmp_path)


# No key takes an infinity or what is no number: as words they are refused there.
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**40), 2**40) | FINITE | st.text(),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=5,
    )
)
def test_a_value_from_python_is_the_same_as_an_override(value):
    [override] = as_overrides({"a__b": value})
    found = OmegaConf.to_container(OmegaConf.from_dotlist([override]))
    assert found == {"a": {"b": value}}
