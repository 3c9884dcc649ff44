"""The example of use that lies in an export's folder."""

from raytrain.exporting.settings import Format

_HEADS = {
    False: '"""Predicts texts: python example.py TEXT …"""\n',
    True: '"""Predicts a pair of texts: python example.py TEXT SECOND"""\n',
}
_TEXTS = {
    False: 'texts, pairs = sys.argv[1:] or ["网传明天停水，快转给家人", "停水的消息不是真的"], None\n',
    True: 'texts, pairs = [[text] for text in sys.argv[1:3] or ("明天停水吗", "停水的消息不是真的")]\n',
}
_TOLD = """for text, label, row in zip(texts, reader.decide(proba), proba):
    print(label, " ".join(f"{value:.6f}" for value in row), text, sep="\\t")
"""
_IMPORTS = {
    "onnx": """import pathlib, sys
import onnxruntime
from tokenization import Reader

here = pathlib.Path(__file__).parent
""",
    "savedmodel": """import pathlib, sys
import tensorflow
from tokenization import Reader

here = pathlib.Path(__file__).parent
""",
}
_RUNS = {
    "onnx": """reader, session = Reader(here), onnxruntime.InferenceSession(here / "{model}")
proba = reader.predict(texts, lambda inputs: session.run(["proba"], inputs)[0], pairs)
""",
    "savedmodel": """reader, loaded = Reader(here), tensorflow.saved_model.load(here / "{model}")
model = loaded.signatures["serving_default"]
as_tensors = lambda inputs: {{name: tensorflow.constant(values) for name, values in inputs.items()}}
proba = reader.predict(texts, lambda inputs: model(**as_tensors(inputs))["proba"].numpy(), pairs)
""",
}
_WEIGHTS = '''"""Lists the arrays of each file by their layers: how many numbers, their names and shapes."""
import pathlib
import h5py

here = pathlib.Path(__file__).parent
for path in sorted(here.rglob("*.h5")):
    with h5py.File(path) as file:
        for layer in file.attrs["layer_names"]:
            arrays = [file[layer][name] for name in file[layer].attrs["weight_names"]]
            told = [f"{name} {array.shape}" for name, array in zip(file[layer].attrs["weight_names"], arrays)]
            print(path.relative_to(here), layer, sum(array.size for array in arrays), *told)
'''


def example_of(format: Format, model: str, pairs: bool) -> str:
    """The text of example.py.

    Args:
        format: Of the export.
        model: The name of its model there.
        pairs: Whether it reads pairs of texts.
    """
    if format == "keras-weights":
        return _WEIGHTS
    run = _RUNS[format].format(model=model)
    return f"{_HEADS[pairs]}{_IMPORTS[format]}{_TEXTS[pairs]}{run}{_TOLD}"
