"""What the config of each kind of encoder says beside what all say: of two heads of 4 channels."""

from raytrain.kinds import KINDS

OF_KIND = {
    "bert": {},
    "albert": {"embedding_size": 6},
    "electra": {"model_type": "electra", "embedding_size": 6},
    "ernie": {"model_type": "ernie", "use_task_id": True, "task_type_vocab_size": 3, "hidden_act": "relu"},
    "nezha": {"model_type": "nezha", "max_relative_position": 3},
    "roformer": {"model_type": "roformer", "embedding_size": 6, "rotary_value": False},
    "roformer_v2": {**KINDS["roformer_v2"].said},
}
