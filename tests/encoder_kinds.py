"""What each kind's config says beside what all say, of two heads of 4 channels; files of a whole encoder."""

import json

from raytrain.kinds import KINDS
from raytrain.text.vocab import SPECIAL_TOKENS

OF_KIND = {
    "bert": {},
    "albert": {"embedding_size": 6},
    "electra": {"model_type": "electra", "embedding_size": 6},
    "ernie": {"model_type": "ernie", "use_task_id": True, "task_type_vocab_size": 3, "hidden_act": "relu"},
    "nezha": {"model_type": "nezha", "max_relative_position": 3},
    "roformer": {"model_type": "roformer", "embedding_size": 6, "rotary_value": False},
    "roformer_v2": {**KINDS["roformer_v2"].said},
}

CONFIG = {
    "vocab_size": 6,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 64,
}
# What lies beside weights, of an encoder that a run would read.
SMALL_FILES = {
    "config.json": json.dumps({"model_type": "bert", **CONFIG}).encode(),
    "vocab.txt": "".join(f"{token}\n" for token in (*SPECIAL_TOKENS, "天")).encode(),
}
