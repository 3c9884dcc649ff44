import pytest

from raytrain.config.load import load_config
from raytrain.errors import ConfigError


def load(*overrides):
    return load_config(None, ["data.path=a.csv", *overrides])


def problems_of(*overrides):
    with pytest.raises(ConfigError) as caught:
        load(*overrides)
    return caught.value.problems


def test_defaults_need_only_the_path_of_the_data():
    config = load()
    assert config.data.path == "a.csv"
    assert (config.folds.num_folds, config.train.epochs, config.encoder.maxlen) == (10, None, 128)
    assert config.model.architectures == ["finetune"]


@pytest.mark.parametrize(
    "override",
    [
        "folds.num_folds=1",
        "train.epochs=1.5",
        "train.learning_rate=fast",
        "train.dropout=.nan",
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


@pytest.mark.parametrize(
    "name",
    ["", "-a", "a/b", "a\\b", "../a", ".a", "..", " a", "a ", "名.", "a:b", "名" * 67, "a\u200bb"],
)
def test_name_is_one_plain_word_of_a_path(name):
    assert problems_of(f"name='{name}'")[0].startswith("name:")


def test_class_weights_stay_one_value_of_the_flat_config():
    assert load("train.class_weight={a: 2.0}").flat()["train.class_weight"] == {"a": 2.0}


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
                "encoder.truncate=tail",
                "encoder.windows=2",
            ],
        )
    problems = raised.value.problems
    assert problems[0] == "model.architecture: expected bilstm_crf, bilstm, crf for task=tag, found textcnn"
    assert [problem.split(":")[0] for problem in problems] == [
        *("model.architecture", "train.monitor", "encoder.windows", "data.text"),
        *("encoder.truncate", "encoder.windows", "words.keywords", "train.label_smoothing"),
    ]
    with pytest.raises(ConfigError, match=r"for task=classify, found crf"):
        load_config(None, ["data.path=names.csv", "model.architecture=crf"])


def test_ngrams_are_of_classifiers_and_may_stand_beside_networks():
    assert load("model.architecture=[finetune,tfidf]").model.architectures == ["finetune", "tfidf"]
    [problem] = problems_of("task=tag", "model.architecture=[bilstm,tfidf]")
    assert problem == "model.architecture: expected bilstm_crf, bilstm, crf for task=tag, found tfidf"


def test_a_tagger_s_text_may_be_a_list_of_one():
    assert load("task=tag", "data.text=[sentence]").data.text_columns == ["sentence"]
    [problem] = problems_of("task=tag", "data.text=[a,b]")
    assert problem == "data.text: expected one column for task=tag, found ['a', 'b']"


def test_pairs_are_not_read_in_windows():
    [problem] = problems_of("data.text=[a,b]", "encoder.windows=2")
    assert (
        problem == "encoder.windows: expected 1 for text pairs, which are read together in one row; found 2"
    )
    pairs = load("data.text=[a,b]", "encoder.truncate=head_tail")
    assert (pairs.encoder.truncate, pairs.encoder.windows) == ("head_tail", 1)
    assert load("data.text=[a]", "encoder.windows=2").encoder.windows == 2


def test_keywords_that_nobody_would_count_are_refused():
    [problem] = problems_of("model.architecture=tfidf", "words.keywords=auto")
    assert problem.startswith("words.keywords: expected null") and problem.endswith("found auto")
    assert load("model.architecture=[tfidf,textcnn]", "words.keywords=auto").words.keywords == "auto"


def test_keras_s_name_of_bfloat16_is_taken(tmp_path):
    precision = load_config(None, ["data.path=a.csv", "train.precision=mixed_bfloat16"]).train.precision
    assert precision == "bfloat16"


def test_what_only_classifiers_have_is_refused_of_taggers():
    wrong = ["train.r_drop=1", "train.mixup=0.5", "train.multi_sample_dropout=3"]
    problems = problems_of("task=tag", *wrong)
    assert [problem.partition(":")[0] for problem in problems] == [item.partition("=")[0] for item in wrong]
    assert problems[0] == "train.r_drop: expected 0 for task=tag, found 1.0"
    [problem] = problems_of("task=tag", "train.mixup={crf: 0.5, bilstm: 0}", "train.r_drop={textcnn: 1}")
    assert problem.startswith("train.mixup: expected 0 for task=tag, found {'crf': 0.5")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["model.architecture=textcnn", "model.pooling=mean"], "first where no architecture is finetune"),
        (["model.train_encoder=false", "model.pooling=layers"], "first or mean of a frozen encoder"),
    ],
)
def test_a_pooling_that_nothing_can_do_is_refused(overrides, expected):
    [problem] = problems_of(*overrides)
    assert problem.startswith(f"model.pooling: expected {expected}")


def test_a_pooling_of_one_architecture_among_others_is_taken():
    config = load("model.architecture=[textcnn,finetune]", "model.pooling=layers")
    assert config.model.pooling == "layers"


def test_all_that_pseudo_labels_need_is_told_at_once():
    wrong = ["words.keywords=auto", "cluster.workers_per_fold=2"]
    problems = problems_of("train.pseudo_labels=0.9", *wrong)
    assert problems == [
        "data.test: expected a file of unlabelled texts; found null (train.pseudo_labels)",
        "words.keywords: expected null; found auto (train.pseudo_labels)",
        "cluster.workers_per_fold: expected 1; found 2 (train.pseudo_labels)",
    ]


def test_what_only_an_encoder_reads_is_refused_where_there_is_none():
    wrong = ["encoder.adapt=true", "encoder.truncate=tail", "encoder.windows=3"]
    problems = problems_of("model.architecture=tfidf", *wrong)
    assert [problem.partition(":")[0] for problem in problems] == [key.partition("=")[0] for key in wrong]
    assert problems[1].startswith("encoder.truncate: expected head where model.architecture is tfidf alone")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["folds.time=day", "folds.repeats=2"], "folds.repeats: expected 1 with folds.time"),
        (
            ["folds.compare=true", "folds.duplicates=keep"],
            "folds.compare: expected false without folds.time or folds.duplicates=group; found true",
        ),
        (
            ["folds.compare=true", "folds.time=day", "baseline=false"],
            "folds.compare: expected false without baseline=true; found true",
        ),
        (
            ["folds.compare=true", "folds.time=day", "task=tag"],
            "folds.compare: expected false without task=classify; found true",
        ),
    ],
)
def test_what_folds_by_time_do_not_go_with_is_refused(overrides, expected):
    [problem] = problems_of(*overrides)
    assert problem.startswith(expected)


def test_folds_by_time_are_for_both_tasks():
    assert load("folds.time=day", "folds.compare=true").folds.compare
    assert load("folds.time=day", "task=tag").folds.time == "day"


def test_new_labels_are_one_file_or_several_and_none_of_a_tagger():
    assert load().data.labels_files == [] and load("data.labels=a.csv").data.labels_files == ["a.csv"]
    assert load("data.labels=[a.csv,b.csv]").data.labels_files == ["a.csv", "b.csv"]
    [problem] = problems_of("task=tag", "data.labels=a.csv")
    assert problem == "data.labels: expected null for task=tag, found a.csv"
