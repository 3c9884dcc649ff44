"""A classifier from Python: invented posts, rumour or genuine, two folds, and what they say of new ones."""

from pathlib import Path

import raytrain
from raytrain.corpus.example import write_example

data = Path("runs/example-posts.csv")
data.parent.mkdir(exist_ok=True)
write_example(data)

config = raytrain.load_config(
    data__path=data,
    data__id="id",
    name="example-classifier",
    model__architecture="textcnn",
    folds__num_folds=2,
    train__epochs=4,
    train__learning_rate=2e-3,
    train__encoder_learning_rate=1e-3,
    baseline=False,
)
run = raytrain.cross_validate(config)
print({name: round(value, 4) for name, value in run.scores["textcnn"].items()})
print(run.oof().slice(0, 3).to_pylist())

predictor = raytrain.load(run.ensemble)
texts = ["网传明天全城停水，快转给家人", "记者今天在现场看到，供水正常"]
for text, label, proba in zip(texts, predictor.predict(texts), predictor.predict_proba(texts), strict=True):
    print(text, label, proba.round(3))
