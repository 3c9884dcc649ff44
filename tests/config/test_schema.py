import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.config.keys import FREE_KEYS, binding_keys
from raytrain.config.load import config_keys, describe_keys, load_config, validate_config
from raytrain.errors import ConfigError


def load(*overrides):
    return load_config(None, ["data.path=a.csv", *overrides])


def problems_of(*overrides):
    with pytest.raises(ConfigError) as caught:
        load(*overrides)
    return caught.value.problems


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_defaults_need_only_the_path_of_the_data():
    config = load()
    assert config.data.path == "a.csv"
    assert (config.folds.num_folds, config.train.epochs, config.encoder.maxlen) == (10, 3, 128)
    assert config.model.architectures == ["finetune"]


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


def test_one_text_column_or_two():
    assert load().data.text_columns == ["text"]
    assert load("data.text=[a,b]").data.text_columns == ["a", "b"]
    assert "one column, or two" in problems_of("data.text=[a,b,c]")[0]


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
    "override",
    [
        "folds.num_folds=1",
        "folds.repeats=0",
        "encoder.maxlen=3",
        "train.epochs=0",
        "train.epochs=1.5",
        "train.epochs=null",
        "train.learning_rate=0",
        "train.learning_rate=2",
        "train.learning_rate=fast",
        "train.warmup=1",
        "train.dropout=1",
        "train.label_smoothing=-0.1",
        "train.clip_norm=0",
        "train.monitor=f1",
        "train.class_weight={a: heavy}",
        "cluster.gpus_per_fold=-1",
        "cluster.cpus_per_fold=0",
        "seed=-1",
        "seed=2147483647",
        "task=translate",
        "data.drop=[bad_mood]",
    ],
)
def test_value_out_of_range_names_its_key_and_what_was_found(override):
    key = override.partition("=")[0]
    problems = problems_of(override)
    assert all(problem.startswith(key) for problem in problems)
    assert "found" in problems[0]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("model.architecture=[]", "model: architecture lists each name once; found []"),
        (
            "model.architecture=[textcnn,textcnn]",
            "model: architecture lists each name once; found ['textcnn', 'textcnn']",
        ),
        ("data.text=[]", "data: text takes one column, or two for a text pair; found 0"),
    ],
)
def test_lists_of_a_wrong_length(override, told):
    assert problems_of(override) == [told]


@pytest.mark.parametrize("name", ["", "-a", "a/b", "a b", "../a", ".a", "名"])
def test_name_is_one_plain_word_of_a_path(name):
    assert problems_of(f"name='{name}'")[0].startswith("name:")


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf"])
@pytest.mark.parametrize(
    "key",
    [
        "train.weight_decay",
        "train.learning_rate",
        "train.clip_norm",
        "train.dropout",
        "cluster.gpus_per_fold",
    ],
)
def test_values_are_finite(key, value):
    assert problems_of(f"{key}={value}")[0].startswith(key)


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


@pytest.mark.parametrize(("key", "default", "description"), describe_keys())
def test_every_key_has_a_description(key, default, description):
    assert len(description) > 5 or key == "task"
    assert default


def test_keys_are_those_of_the_config_in_its_order():
    assert config_keys() == list(load().flat())


def test_described_defaults_are_the_defaults():
    flat = load().flat()
    for key, default, _ in describe_keys():
        if key != "data.path":
            assert yaml.safe_load(default) == flat[key]


@settings(max_examples=30, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,10}", fullmatch=True),
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


def test_binding_keys_leave_out_what_may_change():
    keys = binding_keys(load())
    assert {"seed", "name", "data.path", "train.epochs", "folds.group"} <= keys.keys()
    for free in ("cluster.address", "cluster.max_failures", "baseline", "data.test", "storage"):
        assert free in config_keys()
        assert free not in keys


def test_each_free_key_is_a_key():
    assert all(any(key.startswith(free) for key in config_keys()) for free in FREE_KEYS)


def test_class_weights_stay_one_value_of_the_flat_config():
    assert load("train.class_weight={a: 2.0}").flat()["train.class_weight"] == {"a": 2.0}


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


def test_a_taggers_defaults_are_its_own():
    config = load_config(None, ["data.path=names.bio", "task=tag"])
    assert config.model.architectures == ["bilstm_crf"] and config.sweep.metric == "f1"
    again = load_config(
        None, [f"{key}={value}" for key, value in (("data.path", "x.bio"), ("task", "classify"))]
    )
    assert again.model.architectures == ["finetune"] and again.sweep.metric == "macro_f1"


def test_what_is_of_another_task_is_refused_naming_both_keys():
    with pytest.raises(ConfigError) as raised:
        load_config(
            None,
            [
                "data.path=names.bio",
                "task=tag",
                "model.architecture=[textcnn,crf]",
                "train.monitor=auc",
                "train.label_smoothing=0.1",
                "words.keywords=auto",
                "data.text=[a,b]",
            ],
        )
    problems = raised.value.problems
    assert problems[0] == "model.architecture: expected bilstm_crf, bilstm, crf for task=tag, found textcnn"
    assert [problem.split(":")[0] for problem in problems] == [
        *("model.architecture", "train.monitor", "data.text", "words.keywords", "train.label_smoothing")
    ]
    with pytest.raises(ConfigError, match=r"for task=classify, found crf"):
        load_config(None, ["data.path=names.csv", "model.architecture=crf"])
