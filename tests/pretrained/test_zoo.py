import pytest

from raytrain.errors import CheckpointError
from raytrain.pretrained.zoo import ZOO, find_entry, nearest_name


def test_every_download_of_the_original_has_a_name():
    names = [
        f"albert_{size}_{version}"
        for size in ("base", "large", "xlarge", "xxlarge")
        for version in ("zh", "v2", "v1")
    ]
    assert set(names) | {"albert_tiny_zh", "albert_small_zh", "bert_base_zh"} == set(ZOO)


@pytest.mark.parametrize("name", ["albert_xlarge_zh", "albert_base_v1", "albert_xxlarge_v2"])
def test_archives_are_named_after_the_checkpoint(name):
    assert ZOO[name].url == f"https://storage.googleapis.com/albert_models/{name}.tar.gz"
    assert ZOO[name].archive == f"{name}.tar.gz"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("albert_tiny_zh", "albert_zh/albert_tiny_zh_google.zip"),
        ("albert_small_zh", "albert_zh/albert_small_zh_google.zip"),
        ("bert_base_zh", "bert_models/2018_11_03/chinese_L-12_H-768_A-12.zip"),
    ],
)
def test_other_archives(name, path):
    assert ZOO[name].url == f"https://storage.googleapis.com/{path}"


def test_two_checkpoints_never_share_an_archive():
    assert len({entry.archive for entry in ZOO.values()}) == len(ZOO)


@pytest.mark.parametrize("name", ZOO)
def test_english_encoders_read_sentencepiece(name):
    entry = ZOO[name]
    english = name.endswith(("v1", "v2"))
    assert (entry.language, entry.tokenizer) == (
        ("English", "SentencePiece") if english else ("Chinese", "WordPiece")
    )


@pytest.mark.parametrize(
    ("name", "millions"),  # of the ALBERT paper's table 1 and of BERT's, without the pooler
    [
        ("albert_base_v2", 11.1),
        ("albert_large_v2", 16.6),
        ("albert_xlarge_v2", 54.5),
        ("albert_xxlarge_v2", 205.8),
    ],
)
def test_parameters_are_those_of_the_paper(name, millions):
    assert ZOO[name].num_parameters / 1e6 == pytest.approx(millions, abs=0.1)


@pytest.mark.parametrize(("name", "near"), [("albert_bse_zh", "albert_base_zh"), ("x" * 30, None)])
def test_what_was_likely_meant(name, near):
    assert nearest_name(name) == near


def test_an_unknown_name_is_refused_with_all_names():
    with pytest.raises(CheckpointError) as caught:
        find_entry("albert_xxxlarge_v2")
    assert "did you mean albert_xxlarge_v2?" in str(caught.value)
    assert all(name in str(caught.value) for name in ZOO)


def test_an_entry_is_found_by_its_name():
    assert find_entry("bert_base_zh").kind == "bert"
