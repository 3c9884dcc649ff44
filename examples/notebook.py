"""As in a notebook: what a run says while it trains, its scores, and which rows it gets most wrong."""

# %% Lines of a run go to Python's logging; a notebook shows them like this.
import logging
from pathlib import Path

import numpy as np

import raytrain
from raytrain.corpus.example import write_example

logging.basicConfig(format="%(message)s")
logging.getLogger("raytrain").setLevel(logging.INFO)

# %% The corpus and the config; one that does not fit says everything that is wrong with it.
data = Path("runs/notebook-posts.csv")
data.parent.mkdir(exist_ok=True)
write_example(data)
try:
    raytrain.load_config(data__path=data, folds__num_fold=2, train__epochs=0)
except Exception as error:
    print(error)

# %% Train. The same cell again goes on where it stopped, or only sums up.
config = raytrain.load_config(
    data__path=data,
    data__id="id",
    name="notebook",
    model__architecture="textcnn",
    folds__num_folds=2,
    train__epochs=4,
    train__learning_rate=2e-3,
    train__encoder_learning_rate=1e-3,
)
run = raytrain.cross_validate(config)

# %% Scores by model, as numbers.
for model, scores in run.scores.items():
    print(f"{model:<16}", {name: round(value, 4) for name, value in scores.items()})

# %% The rows that the folds, which had not seen them, got most wrong.
oof = run.oof().to_pandas()
labels = [name.removeprefix("proba_") for name in oof.columns if name.startswith("proba_")]
own = oof[[f"proba_{label}" for label in labels]].to_numpy()
oof["own"] = own[np.arange(len(oof)), [labels.index(str(label)) for label in oof["label"]]]
print(oof.nsmallest(5, "own")[["id", "label", "own"]])
