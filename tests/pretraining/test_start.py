"""The weights that a pre-training begins with, its head's among them where the checkpoint has one."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import numpy as np
import pytest
from encoder_checkpoints import KINDS, draw, write_checkpoint
from tiny_pretraining import encoder_config

from raytrain.errors import CheckpointError
from raytrain.pretraining.model import HEAD, MaskedLanguageModel
from raytrain.pretraining.start import _read_start

read_start = _read_start._function  # without Ray


def arrays_of(kind):
    variables = MaskedLanguageModel(kind, encoder_config(kind), 0).variables_by_name()
    return draw({name: tuple(variable.shape) for name, variable in variables.items()})


@pytest.mark.parametrize("kind", KINDS)
def test_encoder_and_head_are_read(tmp_path, kind):
    arrays = arrays_of(kind)
    found, facts = read_start(kind, encoder_config(kind), write_checkpoint(tmp_path / "a.ckpt", arrays))
    assert facts["head"] and "Google" in facts["layout"] and found.keys() == arrays.keys()
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


@pytest.mark.parametrize("change", ["missing", "of another shape"])
def test_a_head_that_does_not_fit_is_left_out(tmp_path, change):
    arrays = arrays_of("bert")
    name = f"{HEAD}/transform/dense/kernel"
    if change == "missing":
        del arrays[name]
    else:
        arrays[name] = np.zeros((3, 3), np.float32)
    found, facts = read_start("bert", encoder_config("bert"), write_checkpoint(tmp_path / "a.ckpt", arrays))
    assert not facts["head"] and not any(name.startswith(HEAD) for name in found)
    assert "bert/embeddings/word_embeddings" in found


def test_an_encoder_that_lacks_a_variable_is_refused(tmp_path):
    arrays = arrays_of("bert")
    del arrays["bert/embeddings/LayerNorm/beta"]
    with pytest.raises(CheckpointError, match="LayerNorm/beta"):
        read_start("bert", encoder_config("bert"), write_checkpoint(tmp_path / "a.ckpt", arrays))
