"""Repositories that people name, laid as they lie on the hub, with encoders of a few channels."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import io
import json

import numpy as np
import pytest
from encoder_checkpoints import load_directory, random_arrays, run, transformer_of
from hub_server import COMMIT, serve_hub
from pretrained.test_weights import hugging_face_name
from rich.console import Console
from torch_files import write_arrays

from raytrain.network.weights import named_variables
from raytrain.pretrained.fetch import locate_checkpoint
from raytrain.text.vocab import Vocab
from raytrain.text.wordpiece import build_tokenizer

BERT_SAYS = {
    "architectures": ["BertForMaskedLM"],
    "directionality": "bidi",
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "model_type": "bert",
    "output_past": True,
    "pad_token_id": 0,
    "pooler_fc_size": 8,
    "pooler_num_attention_heads": 2,
    "pooler_num_fc_layers": 3,
    "pooler_size_per_head": 4,
    "pooler_type": "first_token_transform",
}
OF_BERT = {  # what lies beside the encoder in its file, a shape each
    "bert.pooler.dense.weight": (8, 8),
    "bert.pooler.dense.bias": (8,),
    "cls.predictions.decoder.weight": (5, 8),
    "cls.seq_relationship.weight": (2, 8),
    "cls.seq_relationship.bias": (2,),
}
HEAD = {"cls.predictions.bias": (5,), "cls.predictions.transform.LayerNorm.weight": (8,)}
DISCRIMINATOR = {"discriminator_predictions.dense.weight": (8, 8)}
OF_ROFORMER = {"roformer.encoder.embed_positions.weight": (64, 4), "cls.predictions.decoder.weight": (5, 8)}
OF_NEZHA = {
    "nezha.encoder.layer.0.attention.self.relative_positions_encoding.positions_encoding": (64, 64, 4)
}
GIT = (".gitattributes", "README.md")
MAPS = ("special_tokens_map.json",)
OTHER_WEIGHTS = ("flax_model.msgpack", "tf_model.h5")
# Kind, what its config says beside the shape, what tokenizer_config.json says, the form of its weights' file,
# heads and buffers in that, and what else lies there.
REPOSITORIES = {
    "hfl/chinese-roberta-wwm-ext": (
        *("bert", BERT_SAYS, {"init_inputs": []}, "stream", OF_BERT | HEAD),
        (*GIT, *MAPS, *OTHER_WEIGHTS, "added_tokens.json", "tokenizer.json"),
    ),
    "hfl/chinese-macbert-base": (
        *("bert", {**BERT_SAYS, "architectures": ["BertForMaskedLM"]}, {"do_lower_case": True}, "stream"),
        OF_BERT | HEAD,
        (*GIT, *MAPS, *OTHER_WEIGHTS, "added_tokens.json", "tokenizer.json"),
    ),
    "hfl/chinese-electra-180g-small-discriminator": (
        *("electra", {"architectures": ["ElectraForPreTraining"], "summary_type": "first"}),
        *({"do_lower_case": True, "model_max_length": 512}, "zip", DISCRIMINATOR),
        (*GIT, *MAPS, "tf_model.h5", "added_tokens.json", "tokenizer.json"),
    ),
    "nghuyong/ernie-3.0-base-zh": (
        *("ernie", {"architectures": ["ErnieForMaskedLM"], "layer_norm_eps": 1e-5, "type_vocab_size": 4}),
        *({"do_lower_case": True, "tokenizer_class": "BertTokenizer"}, "zip"),
        *({name.replace("bert.", "ernie."): shape for name, shape in OF_BERT.items()}, (*GIT, *MAPS)),
    ),
    "junnyu/roformer_v2_chinese_char_base": (
        *("roformer_v2", {"architectures": ["RoFormerForMaskedLM"], "embedding_size": 8}),
        *({"do_lower_case": True, "tokenizer_class": "BertTokenizer"}, "stream", OF_ROFORMER, (*GIT, *MAPS)),
    ),
    "sijunhe/nezha-cn-base": (
        *("nezha", {"architectures": ["NezhaForPreTraining"], "use_relative_position": True}),
        *({"do_lower_case": True, "tokenizer_class": "BertTokenizer"}, "zip", OF_NEZHA | HEAD),
        (*GIT, *MAPS, "tokenizer.json"),
    ),
}
READ_BESIDE = (*MAPS, "added_tokens.json", "tokenizer.json")


@pytest.fixture
def served(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYTRAIN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with serve_hub({}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def files_of(tmp_path, vocab, config, said, weights, others):
    """A repository's files by name."""
    tokenizer = build_tokenizer(Vocab(vocab)).to_str().encode()
    contents = {
        "added_tokens.json": b"{}",
        "special_tokens_map.json": b'{"unk_token": "[UNK]", "pad_token": "[PAD]"}',
        "tokenizer.json": tokenizer,
    }
    return {
        "config.json": json.dumps(config, indent=2).encode(),
        "pytorch_model.bin": write_arrays(tmp_path / "weights", *weights).read_bytes(),
        "tokenizer_config.json": json.dumps(said).encode(),
        "vocab.txt": "".join(f"{token}\n" for token in vocab).encode(),
        **{name: contents.get(name, b"not read") for name in others},
    }


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_an_encoder_is_the_same_once_it_has_come_from_the_hub(
    served, tmp_path, encoder_config, vocab, repository
):
    kind, says, tokenizer_says, form, beside, others = REPOSITORIES[repository]
    config = encoder_config(kind, num_layers=1) | says
    original = transformer_of(kind, config)
    arrays, weights = random_arrays(original), {}
    for name, variable in named_variables(original).items():
        variable.assign(arrays[name])
        turned = arrays[name].T if name.endswith("kernel") else arrays[name]
        weights[hugging_face_name(kind, name)] = np.ascontiguousarray(turned)
    weights |= {name: np.ones(shape, np.float32) for name, shape in beside.items()}
    files = files_of(tmp_path, vocab, config, tokenizer_says, (weights, form), others)
    served.repositories[repository] = {COMMIT: files}
    directory = locate_checkpoint(f"hf:{repository}", Console(file=io.StringIO()))
    wanted = files.keys() - {name for name in others if name not in READ_BESIDE}
    assert {path.name for path in directory.iterdir()} == wanted
    encoder, transformer, unread = load_directory(directory)
    assert (encoder.kind, encoder.vocab, len(unread)) == (kind, Vocab(vocab), len(beside))
    np.testing.assert_array_equal(run(transformer), run(original))
