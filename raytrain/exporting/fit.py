"""What of an ensemble can be exported, and which part of it is."""

from collections.abc import Sequence
from dataclasses import replace

from raytrain.config.defaults import reads_words
from raytrain.ensemble.artifact import Ensemble
from raytrain.ensemble.words import read_words
from raytrain.exporting.settings import FORMATS, ExportSettings, missing_packages
from raytrain.fusion.rule import FusionRule
from raytrain.fusion.weights import equal_weights
from raytrain.tasks import Architecture, reads_encoder
from raytrain.text.dictionary import finds_uncommon

MOST_BYTES = 2_000_000_000  # of an ONNX file, whose numbers lie in it: protobuf holds 2 GiB


def problems_of(ensemble: Ensemble, settings: ExportSettings) -> list[str]:
    """All that keeps an ensemble from being exported so, a line each with what to do."""
    problems = _unfit_settings(settings)
    if ensemble.task == "tag":
        problems.append(
            "expected a classifier's ensemble, found a tagger's: what finds spans in its scores is no graph; "
            "use raytrain predict or raytrain serve"
        )
        return problems
    known = [*ensemble.manifest.architectures]
    unknown = [name for name in settings.only if name not in known]
    if unknown:
        problems.append(f"only: expected {', '.join(known)}, found {', '.join(unknown)}")
        return problems
    taken = [name for name in known if not settings.only or name in settings.only]
    if settings.has_graph:  # weights alone are not fused
        problems += _unfit_rule(ensemble, taken)
    return problems + _unfit_models(ensemble, settings, taken)


def _unfit_settings(settings: ExportSettings) -> list[str]:
    problems = []
    if settings.format not in FORMATS:
        problems.append(f"format: expected one of {', '.join(FORMATS)}, found {settings.format}")
    if settings.int8 and settings.format != "onnx":
        problems.append(f"int8: expected format=onnx, found {settings.format}")
    if settings.check is not None and not settings.has_graph:
        problems.append("check: expected a model that runs, found format=keras-weights: leave it out")
    if missing := missing_packages(settings.format):
        told = f"expected {', '.join(missing)}, found none installed"
        problems.append(f"format=onnx: {told}; install with: pip install 'raytrain[export]', or make export")
    return problems


def _unfit_rule(ensemble: Ensemble, taken: Sequence[str]) -> list[str]:
    rule = ensemble.manifest.rule
    if rule is None or len(taken) == len(ensemble.manifest.architectures):
        return []
    if rule.stack is not None:
        return ["only: the ensemble's members are fused by stacking, which needs all of them; leave it out"]
    if sum(_weights_of(rule, taken).values()) <= 0:
        return [f"only: {', '.join(taken)} have no weight in the ensemble; name others"]
    return []


def _unfit_models(ensemble: Ensemble, settings: ExportSettings, taken: Sequence[Architecture]) -> list[str]:
    networks = [name for name in taken if reads_encoder(name)]
    if not networks:
        return ["expected a network among its architectures, found n-grams alone (tfidf), which are no graph"]
    problems, entries = [], ensemble.manifest.architectures
    if any(entries[name].model.num_keyword_classes for name in networks):
        problems.append(
            "its heads count keywords of each text (words.keywords), which are no ids; train without them"
        )
    if not settings.has_graph:
        return problems
    if len(networks) < len(taken):
        flags = ",".join(networks)
        problems.append(f"tfidf counts n-grams, which are no graph: leave it out with only={flags}")
    if any(map(reads_words, networks)) and finds_uncommon(read_words(ensemble).user_dict):
        problems.append(
            "words.user_dict holds words with characters at which jieba cuts, which it does not find alone; "
            "train without these words"
        )
    sizes = {entry.name: entry.bytes for entry in ensemble.manifest.files}
    files = [fold.file for name in networks for fold in entries[name].folds]
    if not all(entries[name].model.train_encoder for name in networks):
        files.append(str(ensemble.encoder.weights))
    total = sum(sizes[name] for name in files)
    if settings.format == "onnx" and total > MOST_BYTES:
        problems.append(
            f"format=onnx: expected weights of {MOST_BYTES:,} bytes at most, found {total:,}; take "
            "savedmodel, or one model of raytrain refit or raytrain distill"
        )
    return problems


def chosen(ensemble: Ensemble, settings: ExportSettings) -> Ensemble:
    """The ensemble of the architectures that are taken; of weights alone n-grams are none.

    What their rule weighs sums to 1 again; where they cannot be fused by it, their mean and its costs stay.
    """
    manifest = ensemble.manifest
    taken = [name for name in manifest.architectures if not settings.only or name in settings.only]
    if not settings.has_graph:
        taken = [name for name in taken if reads_encoder(name)]
    if len(taken) == len(manifest.architectures):
        return ensemble
    own = {name: manifest.architectures[name] for name in taken}
    fusion = None if manifest.rule is None else _rule_of(manifest.rule, taken).to_dict()
    return Ensemble(ensemble.directory, manifest.model_copy(update={"architectures": own, "fusion": fusion}))


def _rule_of(rule: FusionRule, taken: Sequence[str]) -> FusionRule:
    """The rule of some architectures alone."""
    weights = _weights_of(rule, taken)
    total = sum(weights.values())
    if rule.stack is not None or not total:
        means = dict(zip(weights, equal_weights([*weights]).tolist(), strict=True))
        return FusionRule(means, costs=rule.costs)
    return replace(rule, weights={name: weight / total for name, weight in weights.items()})


def _weights_of(rule: FusionRule, taken: Sequence[str]) -> dict[str, float]:
    return {name: weight for name, weight in rule.weights.items() if name.partition("/")[0] in taken}
