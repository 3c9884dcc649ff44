"""Where a run's numbers come from: what they took, what was told, which packages and files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raytrain.config.data import DataConfig
from raytrain.config.schema import Config
from raytrain.config.sections import yaml_value
from raytrain.report.facts import Facts
from raytrain.report.markup import ABSENT, Child, Markup, details, element, paragraph, table, told
from raytrain.stages import clock


def cost_section(facts: Facts) -> Markup:
    """Seconds, epochs and devices of each architecture's folds."""
    rows = []
    for name, entry in facts.summary["architectures"].items():
        own = [record for record in facts.records if record["architecture"] == name]
        seconds = np.array([fold["seconds"] for fold in entry["folds"]])
        epochs = sorted({fold["epochs"] for fold in entry["folds"]})
        told_epochs = f"{epochs[0]:g}" if len(epochs) == 1 else f"{epochs[0]:g}–{epochs[-1]:g}"
        cells: list[Child] = [
            name,
            f"{len(seconds)}",
            told_epochs,
            f"{seconds.mean():.0f} s",
            clock(float(seconds.sum())),
            f"{sum(record.get('restarts') or 0 for record in own)}",
            _most_common(own, "device"),
        ]
        rows.append(cells)
    header = ["architecture", "folds", "epochs", "a fold", "all folds", "restarts", "device"]
    whole = facts.summary.get("seconds")
    lines = [f"The last command of this run took {clock(float(whole))}."] if whole else []
    if facts.summary.get("encoder_seconds"):
        lines.append(
            f"The frozen encoder's output took {clock(float(facts.summary['encoder_seconds']))} of it."
        )
    return element(
        "section",
        element("h2", "Time"),
        paragraph(" ".join(lines)) if lines else None,
        table(header, rows, "time of folds", "numbers"),
        id="time",
    )


def _most_common(records: Sequence[Mapping[str, Any]], key: str) -> Child:
    counts = Counter(str(record[key]) for record in records if record.get(key))
    if not counts:
        return ABSENT
    return ", ".join(
        name if count == len(records) else f"{name} ({count})" for name, count in counts.most_common()
    )


def changed_keys(config: Config) -> dict[str, Any]:
    """The keys whose values are not the defaults that the task has."""
    default = Config(task=config.task, data=DataConfig(path="")).flat()
    default["task"] = Config.model_fields["task"].default
    return {key: value for key, value in config.flat().items() if value != default[key]}


def config_section(facts: Facts) -> Markup:
    """What the run was told: what differs from the defaults, and the rest folded up."""
    changed = changed_keys(facts.config)
    rest = {key: value for key, value in facts.config.flat().items() if key not in changed}
    return element(
        "section",
        element("h2", "Config"),
        _key_table(changed, "config"),
        details(f"{len(rest)} keys at their defaults", _key_table(rest, "defaults")),
        id="config",
    )


def _key_table(values: Mapping[str, Any], label: str) -> Markup:
    rows = [[element("code", key), element("code", told(yaml_value(value)))] for key, value in values.items()]
    return table(["key", "value"], rows, label, "keys")


def provenance_section(facts: Facts) -> Markup:
    """Packages, hashes of the files, and when."""
    packages = dict(facts.manifest.get("packages") or {})
    rows: list[Sequence[Child]] = [
        ["run", element("code", told(facts.run))],
        [
            "corpus",
            [element("code", told(facts.corpus.get("path"))), f", {facts.corpus.get('rows', 0):,} rows"],
        ],
        ["ended", str(facts.manifest.get("created", ABSENT))],
        ["seed", str(facts.config.seed)],
        ["packages", ", ".join(f"{name} {version}" for name, version in packages.items())],
    ]
    origin = (facts.manifest.get("encoder") or {}).get("origin") or {}
    rows += [[f"encoder's {key}", element("code", told(value))] for key, value in origin.items()]
    inputs = facts.corpus.get("inputs") or {}
    rows += [[f"sha256 of {key}", element("code", told(value))] for key, value in inputs.items()]
    return element(
        "section",
        element("h2", "Provenance"),
        table(["what", "is"], rows, "provenance", "keys"),
        id="provenance",
    )
