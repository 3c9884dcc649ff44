import dataclasses
import json
from pathlib import Path

import pytest
from sentencepiece_model import tiny_model

from raytrain.errors import CheckpointError
from raytrain.pretrained.directory import holds_weights, read_encoder, untrained_mini
from raytrain.pretrained.zoo import MINI
from raytrain.storage.files import MOST_READ_BYTES
from raytrain.text.sentencepiece import SentencePieceTokenizer
from raytrain.text.vocab import SPECIAL_TOKENS, Folding, Vocab

REAL = Path(__file__).parents[3] / "shared/checkpoints/albert_tiny_zh"
VOCAB = [*SPECIAL_TOKENS, "天", "气", "好"]
CONFIG = {
    "vocab_size": len(VOCAB),
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 64,
}


def write_encoder(directory, weights=True, vocab=VOCAB, **changes):
    directory.mkdir(parents=True, exist_ok=True)
    config = {key: value for key, value in {**CONFIG, **changes}.items() if value is not None}
    (directory / "bert_config.json").write_text(json.dumps(config))
    (directory / "vocab.txt").write_text("".join(f"{token}\n" for token in vocab), encoding="utf-8")
    if weights:
        (directory / "bert_model.ckpt.index").write_bytes(b"")
        (directory / "bert_model.ckpt.data-00000-of-00001").write_bytes(b"")
    return directory


def problems_of(directory, pretrained=True, maxlen=16):
    with pytest.raises(CheckpointError) as caught:
        read_encoder(str(directory), pretrained, maxlen)
    assert str(directory) in caught.value.summary
    return caught.value.problems


def test_directory_reads(tmp_path):
    encoder = read_encoder(str(write_encoder(tmp_path / "bert")), pretrained=True, maxlen=16)
    assert (encoder.kind, encoder.config, encoder.vocab) == ("bert", CONFIG, Vocab(VOCAB))
    assert encoder.weights == str(tmp_path / "bert/bert_model.ckpt")


@pytest.mark.parametrize("changes", [{"embedding_size": 4}, {"model_type": "albert"}])
def test_albert_is_known_by_its_config(tmp_path, changes):
    assert read_encoder(str(write_encoder(tmp_path, **changes)), True, 16).kind == "albert"


@pytest.mark.parametrize("name", ["bert_config.json", "vocab.txt", "bert_model.ckpt.index", "30k.model"])
def test_a_file_of_any_size_is_not_read(tmp_path, name):
    write_encoder(tmp_path)
    if name == "30k.model":
        (tmp_path / "vocab.txt").unlink()
    with (tmp_path / name).open("wb") as file:
        file.truncate(MOST_READ_BYTES + 1)
    problem = problems_of(tmp_path)[0]
    assert problem.startswith(f"{name}: not readable") and "expected 268,435,456 bytes at most" in problem


def test_untrained_encoder_needs_no_weights(tmp_path):
    encoder = read_encoder(str(write_encoder(tmp_path, weights=False)), pretrained=False, maxlen=16)
    assert encoder.weights is None
    assert encoder.vocab == Vocab(VOCAB)


def test_untrained_encoder_leaves_weights_that_are_there(tmp_path):
    assert read_encoder(str(write_encoder(tmp_path)), pretrained=False, maxlen=16).weights is None


def test_directory_one_folder_up_may_be_named(tmp_path):
    write_encoder(tmp_path / "archive/chinese_L-12")
    assert read_encoder(str(tmp_path / "archive"), True, 16).weights.endswith("chinese_L-12/bert_model.ckpt")


def test_of_two_folders_none_is_chosen(tmp_path):
    write_encoder(tmp_path / "a")
    write_encoder(tmp_path / "b")
    assert any("*config*.json" in problem for problem in problems_of(tmp_path))


def test_names_of_googles_albert_archives(tmp_path):
    write_encoder(tmp_path, weights=False)
    (tmp_path / "bert_config.json").rename(tmp_path / "albert_config.json")
    (tmp_path / "vocab.txt").rename(tmp_path / "vocab_chinese.txt")
    (tmp_path / "model.ckpt-best.index").write_bytes(b"")
    assert read_encoder(str(tmp_path), True, 16).weights == str(tmp_path / "model.ckpt-best")


def test_home_is_expanded(tmp_path, monkeypatch):
    write_encoder(tmp_path / "bert")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_encoder("~/bert", True, 16).vocab == Vocab(VOCAB)


def test_missing_directory_says_what_is_expected(tmp_path):
    assert "mini" in problems_of(tmp_path / "absent")[0]


@pytest.mark.parametrize("look", [lambda place: read_encoder(place, True, 16), holds_weights])
@pytest.mark.parametrize("method", ["iterdir", "is_dir"])
def test_a_directory_that_may_not_be_read_is_told(tmp_path, monkeypatch, look, method):
    tmp_path = tmp_path / "closed"
    (tmp_path / "below").mkdir(parents=True)

    def refuse(path):
        if path.is_relative_to(tmp_path):
            raise PermissionError(13, "Permission denied", str(path))
        return found(path)

    found = getattr(Path, method)
    monkeypatch.setattr(Path, method, refuse)
    with pytest.raises(CheckpointError, match="cannot be read: Permission denied") as caught:
        look(str(tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_empty_directory_tells_everything_at_once(tmp_path):
    text = "\n".join(problems_of(tmp_path))
    for part in (
        "*config*.json",
        "vocab*.txt",
        "*.model",
        "*.ckpt*.index",
        "model.safetensors",
        "pytorch_model.bin",
        "encoder.pretrained=false",
    ):
        assert part in text


def test_problems_of_config_vocabulary_and_weights_come_together(tmp_path):
    write_encoder(tmp_path, weights=False, vocab=[*VOCAB, "天"], hidden_size=9, max_position_embeddings=8)
    text = "\n".join(problems_of(tmp_path))
    for part in ("vocab_size 8", "no multiple", "only 8 positions", "*.ckpt*.index"):
        assert part in text


@pytest.mark.parametrize("text", ["{", "[]", "3", b"\xff\xfe"])
def test_damaged_config_is_named(tmp_path, text):
    write_encoder(tmp_path)
    (tmp_path / "bert_config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert problems_of(tmp_path)[0].startswith("bert_config.json")


def test_vocabulary_that_is_not_utf8_is_named(tmp_path):
    write_encoder(tmp_path)
    (tmp_path / "vocab.txt").write_bytes("天\n气\n".encode("gb18030"))
    assert problems_of(tmp_path)[0].startswith("vocab.txt")


@pytest.mark.parametrize("name", ["other_config.json", "vocab_2.txt", "older.ckpt.index"])
def test_two_files_of_a_kind_are_both_named(tmp_path, name):
    (write_encoder(tmp_path) / name).write_bytes(b"")
    assert name in "\n".join(problems_of(tmp_path))


def write_hugging_face(directory, **changes):
    write_encoder(directory, weights=False, **{"model_type": "bert", **changes})
    (directory / "bert_config.json").rename(directory / "config.json")
    for name in ("tokenizer_config.json", "generation_config.json"):
        (directory / name).write_text("{}")
    (directory / "model.safetensors").write_bytes(b"")
    return directory


def test_hugging_faces_directory_reads(tmp_path):
    encoder = read_encoder(str(write_hugging_face(tmp_path)), True, 16)
    assert (encoder.kind, encoder.vocab) == ("bert", Vocab(VOCAB))
    assert encoder.weights == str(tmp_path / "model.safetensors")
    assert {path.name for path in encoder.files} == {"config.json", "vocab.txt", "model.safetensors"}


def test_files_are_all_that_a_checkpoint_consists_of(tmp_path):
    write_encoder(tmp_path)
    (tmp_path / "README.md").write_text("notes")
    names = {path.name for path in read_encoder(str(tmp_path), True, 16).files}
    assert names == {
        "bert_config.json",
        "vocab.txt",
        "bert_model.ckpt.index",
        "bert_model.ckpt.data-00000-of-00001",
    }


def test_bert4keras_computes_the_exact_gelu_of_all(tmp_path):
    for name, content in (("best.h5", b""), ("best.weights.index", b"\0_CHECKPOINTABLE_OBJECT_GRAPH")):
        directory = write_encoder(tmp_path / name, weights=False, hidden_act="gelu", embedding_size=4)
        (directory / name).write_bytes(content)
        assert read_encoder(str(directory), True, 16).config["hidden_act"] == "gelu"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, "gelu"),
        ({"embedding_size": 4}, "gelu_new"),  # Google's ALBERT computes the formula with tanh
        ({"use_relative_position": True}, "gelu_new"),  # and Huawei's NEZHA
        ({"use_relative_position": True, "model_type": "nezha"}, "gelu"),
        ({"embedding_size": 4, "model_type": "albert"}, "gelu"),
        ({"embedding_size": 4, "model_type": "albert", "hidden_act": None}, "gelu_new"),  # AlbertConfig's
        ({"embedding_size": 4, "model_type": "electra", "hidden_act": None}, "gelu"),
        ({"model_type": "bert", "hidden_act": None}, "gelu"),
        ({"embedding_size": 4, "hidden_act": None}, "gelu_new"),
        ({"embedding_size": 4, "hidden_act": "gelu_erf"}, "gelu"),  # bert4keras's names, which say which
        ({"hidden_act": "gelu_tanh"}, "gelu_new"),
        ({"embedding_size": 4, "hidden_act": "relu"}, "relu"),
        ({"hidden_act": "gelu_pytorch_tanh", "model_type": "albert"}, "gelu_new"),
    ],
)
def test_which_gelu_is_meant(tmp_path, changes, found):
    config = read_encoder(str(write_encoder(tmp_path, **{"hidden_act": "gelu", **changes})), True, 16).config
    assert config.get("hidden_act", "gelu") == found


@pytest.mark.parametrize("pretrained", [True, False])
def test_googles_electra_is_one_whether_or_not_its_weights_are_wanted(tmp_path, pretrained):
    write_encoder(tmp_path, embedding_size=4, hidden_act="gelu")
    (tmp_path / "bert_model.ckpt.index").write_bytes(b"..electra/embeddings/word_embeddings")
    encoder = read_encoder(str(tmp_path), pretrained, 16)
    assert (encoder.kind, encoder.config["hidden_act"]) == ("electra", "gelu")


def test_an_activation_of_any_type_is_refused(tmp_path):
    assert "hidden_act" in problems_of(write_encoder(tmp_path, hidden_act=["gelu"]))[0]


def test_a_config_larger_than_its_weights_is_refused_before_it_is_built(tmp_path):
    sizes = {"hidden_size": 1024, "num_attention_heads": 16, "intermediate_size": 4096, "vocab_size": 20_000}
    write_encoder(tmp_path, **sizes)  # of two layers: small enough to be built
    read_encoder(str(tmp_path), True, 16)
    write_encoder(tmp_path, **sizes, num_hidden_layers=24)
    data = tmp_path / "bert_model.ckpt.data-00000-of-00001"
    data.write_bytes(bytes(1000))
    [problem] = problems_of(tmp_path)
    assert "bert_model.ckpt.index, which has 1,000 bytes; found those of 322,8" in problem
    read_encoder(str(tmp_path), False, 16)
    with data.open("wb") as file:
        file.truncate(700_000_000)
    read_encoder(str(tmp_path), True, 16)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.mark.parametrize("name", ["bert_config.json", "vocab.txt", "bert_model.ckpt.index"])
def test_a_pointer_of_git_lfs_is_told(tmp_path, name):
    write_encoder(tmp_path)
    (tmp_path / name).write_bytes(POINTER)
    [problem, *_] = problems_of(tmp_path)
    assert problem.startswith(f"{name}: not readable") and "`git lfs pull`" in problem


@pytest.mark.parametrize("size", [8, 768])
def test_a_pointer_in_the_place_of_weights_is_told_whatever_the_encoders_size(tmp_path, size):
    write_hugging_face(tmp_path, hidden_size=size, num_hidden_layers=12)
    (tmp_path / "model.safetensors").write_bytes(POINTER)
    [problem] = problems_of(tmp_path)
    assert problem.startswith("model.safetensors: ") and "`git lfs pull`" in problem


def test_an_encoder_of_an_unknown_kind_is_refused(tmp_path):
    write_encoder(tmp_path, model_type="roberta", vocab=[VOCAB[1], VOCAB[0], *VOCAB[2:]])
    text = "\n".join(problems_of(tmp_path))
    assert "found 'roberta'" in text and "[PAD]" in text


def test_other_configs_beside_config_json_are_left_alone(tmp_path):
    write_hugging_face(tmp_path)
    for name in ("sentence_bert_config.json", "config_sentence_transformers.json", "._config.json"):
        (tmp_path / name).write_text("{}")
    assert read_encoder(str(tmp_path), True, 16).config["model_type"] == "bert"


def test_a_config_without_end_is_told(tmp_path):
    write_encoder(tmp_path)
    (tmp_path / "bert_config.json").write_text("[" * 100_000)
    assert problems_of(tmp_path)[0].startswith("bert_config.json")


def test_what_macos_packs_beside_is_left_alone(tmp_path):
    write_encoder(tmp_path / "chinese")
    write_encoder(tmp_path / "__MACOSX", weights=False)
    assert read_encoder(str(tmp_path), True, 16).weights.endswith("chinese/bert_model.ckpt")


def test_sentencepiece_is_read_as_bytes(tmp_path):
    size = len(SentencePieceTokenizer(tiny_model()))
    write_encoder(tmp_path, embedding_size=4, vocab_size=size)
    (tmp_path / "vocab.txt").unlink()
    (tmp_path / "30k-clean.model").write_bytes(tiny_model())
    (tmp_path / "30k-clean.vocab").write_text("the same for people")
    assert read_encoder(str(tmp_path), True, 16).vocab == Vocab(tiny_model())


def test_a_sentencepiece_model_of_another_size_is_told(tmp_path):
    write_encoder(tmp_path, vocab_size=9)
    (tmp_path / "vocab.txt").unlink()
    (tmp_path / "30k-clean.model").write_bytes(tiny_model())
    assert "vocab_size 9" in problems_of(tmp_path)[0]
    (tmp_path / "30k-clean.model").write_bytes(b"no model")
    assert "SentencePiece" in problems_of(tmp_path)[0]


def test_of_the_first_albert_zh_the_embedding_is_as_wide_as_the_layers(tmp_path):
    write_encoder(tmp_path, embedding_size=4)
    (tmp_path / "bert_model.ckpt.index").write_bytes(b"..ncoder/layer_shared/attention/output")
    assert read_encoder(str(tmp_path), True, 16).config["embedding_size"] == 8
    write_encoder(tmp_path, weights=False, embedding_size=4, model_type="albert")
    assert read_encoder(str(tmp_path), True, 16).config["embedding_size"] == 8
    assert read_encoder(str(tmp_path), False, 16).config["embedding_size"] == 4


def test_untrained_mini_fits_the_vocabulary_and_the_texts():
    encoder = untrained_mini(Vocab(VOCAB), maxlen=600)
    assert (encoder.kind, encoder.vocab, encoder.weights) == ("albert", Vocab(VOCAB), None)
    assert encoder.config["vocab_size"] == len(VOCAB)
    assert encoder.config["max_position_embeddings"] == 600


def test_mini_comes_with_the_package():
    mini = read_encoder(str(MINI), True, 512)
    assert (mini.kind, mini.config["num_hidden_layers"], mini.config["hidden_size"]) == ("albert", 4, 312)
    assert mini.weights == str(MINI / "model.safetensors")
    assert {path.name for path in mini.files} == {path.name for path in MINI.iterdir()}
    assert len(mini.vocab.tokens) == mini.config["vocab_size"] == 7892


def test_untrained_mini_is_an_encoder_that_can_be_read_back(tmp_path):
    mini = untrained_mini(Vocab(VOCAB), maxlen=32)
    write_encoder(tmp_path, weights=False, **mini.config)
    assert dataclasses.replace(read_encoder(str(tmp_path), False, 32), files=()) == mini


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is not here")
def test_shape_and_vocabulary_of_a_real_checkpoint():
    encoder = read_encoder(str(REAL), pretrained=False, maxlen=512)
    assert encoder.kind == "albert"
    assert encoder.config["hidden_size"] == 312
    assert len(encoder.vocab.tokens) == encoder.config["vocab_size"] == 21128
    assert [encoder.vocab.tokens[i] for i in (0, 100, 101, 102, 103)] == list(SPECIAL_TOKENS)


def test_directories_below_are_named_where_there_are_several(tmp_path):
    for name in ("checkpoint-500", "checkpoint-1000"):
        write_encoder(tmp_path / name)
        (tmp_path / name / "bert_config.json").rename(tmp_path / name / "config.json")
    assert "checkpoint-1000, checkpoint-500; name one of them" in "\n".join(problems_of(tmp_path))


def test_the_encoder_of_a_sentence_transformer_lies_in_its_folder(tmp_path):
    write_encoder(tmp_path / "0_Transformer")
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling/config.json").write_text("{}")
    encoder = read_encoder(str(tmp_path), pretrained=True, maxlen=16)
    assert encoder.weights == str(tmp_path / "0_Transformer/bert_model.ckpt")


def test_shards_are_among_the_files_that_are_hashed(tmp_path):
    directory = write_encoder(tmp_path, weights=False)
    (directory / "a.bin").write_bytes(b"")
    (directory / "pytorch_model.bin.index.json").write_text('{"weight_map": {"x": "a.bin"}}')
    encoder = read_encoder(str(directory), pretrained=True, maxlen=16)
    assert [path.name for path in encoder.files][-2:] == ["pytorch_model.bin.index.json", "a.bin"]


def test_a_config_of_the_tokenizer_is_read_and_is_no_encoder_s(tmp_path):
    write_encoder(tmp_path, vocab=[*SPECIAL_TOKENS, "天", "Ab", "ab"])
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    encoder = read_encoder(str(tmp_path), True, 16)
    assert encoder.vocab.folding == Folding(False, False)
    assert "tokenizer_config.json" not in {path.name for path in encoder.files}
    (tmp_path / "bert_config.json").unlink()
    assert any("found none" in problem for problem in problems_of(tmp_path))


def test_what_is_wrong_of_the_tokenizer_comes_with_all_else(tmp_path):
    write_encoder(tmp_path, hidden_size=9)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": 3}')
    text = "\n".join(problems_of(tmp_path))
    assert "do_lower_case, found 3" in text and "hidden_size 9" in text


def test_a_tokenizer_json_alone_has_the_vocabulary(tmp_path):
    write_encoder(tmp_path)
    vocab = {token: number for number, token in enumerate(VOCAB)}
    whole = {
        "normalizer": {"type": "BertNormalizer", "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "vocab": vocab},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
    beside = read_encoder(str(tmp_path), True, 16)
    assert "tokenizer.json" not in {path.name for path in beside.files}
    (tmp_path / "vocab.txt").unlink()
    alone = read_encoder(str(tmp_path), True, 16)
    assert alone.vocab == beside.vocab == Vocab(VOCAB)
    assert "tokenizer.json" in {path.name for path in alone.files}
    (tmp_path / "tokenizer.json").write_text(json.dumps({**whole, "model": {"type": "BPE", "vocab": vocab}}))
    assert any("found 'BPE'" in problem for problem in problems_of(tmp_path))
    (tmp_path / "tokenizer.json").unlink()
    assert "expected one file vocab*.txt or *.model or tokenizer.json, found none" in problems_of(tmp_path)
