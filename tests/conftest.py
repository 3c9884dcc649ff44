"""What several test files share: our own sentences, tiny encoders, ragged features, eager execution."""

import os

# Of so small models threads cost more than they win, and processes beside each other fight for the cores.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import numpy as np
import pyarrow as pa
import pytest
from encoder_kinds import OF_KIND
from hypothesis import settings

# How long an example takes is the machine's affair.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SENTENCES = [
    "房间干净，早餐好吃",
    "服务热情周到，下次还来",
    "菜凉了，等了很久",
    "网传明天停水，快转给家人",
    "记者核实后说，停水的消息不是真的",
    "店家说今天不开门，大家不要白跑一趟，明天早上再来",
]


# What shares one local Ray; under several processes one of them runs it all, and begins with it.
NEED_RAY = (
    "tests/runs/",
    "tests/folds/test_launch.py",
    "tests/hidden_states/test_workers.py",
    "tests/keywords/test_candidates.py",
    "tests/crossval/test_inputs.py",
    "tests/test_benchmarks.py",
    "tests/vectors/test_load.py",
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: not item.nodeid.startswith(NEED_RAY))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Spreads files over processes: what a file's tests share is made once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return "ray" if nodeid.startswith(NEED_RAY) else nodeid.split("::")[0]

    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.fixture(scope="session")
def sentences():
    return SENTENCES


@pytest.fixture(scope="session")
def vocab():
    characters = sorted(set("".join(SENTENCES)))
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]


@pytest.fixture(scope="session")
def encoder_config(vocab):
    """Makes Google's config of an encoder of `kind`; how training goes on, one layer shows as well as two."""

    def make(kind, dropout=0.1, num_layers=2):
        config = {
            "vocab_size": len(vocab),
            "hidden_size": 8,
            "num_hidden_layers": num_layers,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "hidden_act": "gelu",
            "hidden_dropout_prob": dropout,
            "attention_probs_dropout_prob": dropout,
            "max_position_embeddings": 64,
            "type_vocab_size": 2,
        }
        return config | OF_KIND[kind]

    return make


@pytest.fixture(scope="session")
def ragged():
    """Lays (token_ids, segment_ids, word_ids) per row into a table as features.build_features does."""

    def make(rows):
        offsets = pa.array(np.cumsum([0, *(len(row[0]) for row in rows)]), pa.int64())
        types = {"token_ids": pa.int32(), "segment_ids": pa.int8(), "word_ids": pa.int32()}
        return pa.table(
            {
                name: pa.LargeListArray.from_arrays(
                    offsets, pa.array([value for row in rows for value in row[column]], kind)
                )
                for column, (name, kind) in enumerate(types.items())
            }
        )

    return make


@pytest.fixture(scope="session")
def local_ray():
    """One Ray on this machine for all whole runs."""
    import ray

    from raytrain.cluster import connect

    os.environ.pop("RAY_ADDRESS", None)
    connect(None)
    yield
    ray.shutdown()


@pytest.fixture
def here(local_ray):
    """Folds are trained in this process, on one Ray with the runs that train theirs by workers."""
    from folds_here import trained_here

    with trained_here():
        yield


@pytest.fixture
def float32_again():
    """Undoes what a test set of precision."""
    from raytrain.devices import set_precision

    yield
    set_precision("float32")


@pytest.fixture
def eagerly():
    """Runs tf.functions as plain Python: for a few steps that is cheaper than tracing them."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
