"""Which file of an encoder's directory holds its weights."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from raytrain.errors import CheckpointError
from raytrain.storage.files import refuse_pointer
from raytrain.tensors.open import INDEX, SUFFIXES, shard_files

CHECKPOINT = "*.ckpt*.index"
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"  # a variable of checkpoints of objects, which Keras saves
_ANY_CHECKPOINT = "*.index"  # by another name: best_model.weights.index
# Of several the first: they hold the same, and the first is read fastest.
ORDER = (
    "model.safetensors",
    f"model.safetensors{INDEX}",
    "pytorch_model.bin",
    f"pytorch_model.bin{INDEX}",
    "tf_model.h5",
)
_FEW_PARAMETERS = 50_000_000  # 200 MB
# What training leaves beside a model.
_STATES = ("training_args", "optimizer", "scheduler", "rng_state", "scaler", "random_states", "adapter_model")
# What is weights, but of no kind that is read.
_OTHERS = ("*.msgpack", "*.onnx", "*.ot", "*.gguf", "*.pb", "*.mlmodel", "*.pdparams", "*.tflite")


def find_weights(directory: Path, problems: list[str]) -> Path | None:
    """The file that holds the weights: a checkpoint's index, an index of shards, or all in one.

    Args:
        directory: Where it lies.
        problems: Takes what keeps it from being found.
    """
    named = _files(directory, CHECKPOINT)
    if not named:
        named = [directory / name for name in ORDER if (directory / name).is_file()][:1]
    found = named or [
        path
        for suffix in SUFFIXES
        for path in _files(directory, f"*{suffix}")
        if not path.name.startswith(_STATES) and not is_shard(path)
    ]
    found = found or _files(directory, _ANY_CHECKPOINT)
    if len(found) == 1:
        return found[0]
    names = f"{CHECKPOINT}, {', '.join(ORDER)}, or another in {', '.join(SUFFIXES)}"
    problems.append(f"expected one file of weights ({names}), found {_told(directory, found)}")
    return None


def has_weights(directory: Path) -> bool:
    """Whether there is a file of weights, or several."""
    names = (_ANY_CHECKPOINT, *ORDER, *(f"*{suffix}" for suffix in SUFFIXES))
    return any(not path.name.startswith(_STATES) for name in names for path in _files(directory, name))


def all_files(weights: Path, problems: list[str]) -> Iterator[Path]:
    """What is read beside it: the shards that an index names."""
    if weights.name.endswith(INDEX):
        try:
            yield from sorted(set(shard_files(weights).values()))
        except CheckpointError as error:
            problems += error.problems or [error.summary]


def pointers(files: Sequence[Path]) -> list[str]:
    """A line of each file in whose place there is but a pointer to it."""
    problems = []
    for path in files:
        try:
            refuse_pointer(path)
        except (OSError, ValueError) as error:
            problems.append(f"{path.name}: {error}")
    return problems


def too_few_bytes(files: Sequence[Path], num_parameters: int) -> list[str]:
    """A line where a config's encoder cannot be in the files; it would be allocated before they are read.

    A weight has two bytes or four. One is asked for, as some lie packed or as factors; of few weights none.
    """
    size = sum(path.stat().st_size for path in files if path.is_file())
    if num_parameters <= max(size, _FEW_PARAMETERS):
        return []
    return [
        f"config: expected the sizes of the encoder in {files[0].name}, which has {size:,} bytes; found "
        f"those of {num_parameters:,} parameters: weights are missing, or the config is another encoder's"
    ]


def is_shard(path: Path) -> bool:
    """Whether a file is one of many, `…-00001-of-00003.…`."""
    return "-of-" in path.stem


def _files(directory: Path, pattern: str) -> list[Path]:
    found = sorted(directory.glob(pattern))
    return [path for path in found if path.is_file() and not path.name.startswith("._")]  # macOS has these


def _told(directory: Path, found: list[Path]) -> str:
    if found:
        return f"{', '.join(path.name for path in found)}; leave one"
    if (directory / "adapter_config.json").is_file():
        return "an adapter of PEFT; join it to its model (merge_and_unload), then save_pretrained"
    if whole := [path.name for path in _files(directory, "*.keras")]:
        return f"{', '.join(whole)}, which is not read; save its weights by model.save_weights('best.h5')"
    if others := [path.name for pattern in _OTHERS for path in _files(directory, pattern)]:
        return (
            f"{', '.join(others)}, which is not read; save it by save_pretrained of PyTorch, as safetensors"
        )
    if shards := [
        path.name for suffix in SUFFIXES for path in _files(directory, f"*{suffix}") if is_shard(path)
    ]:
        return f"{', '.join(shards)} without the index ({ORDER[1]}) that puts them together"
    return "none"
