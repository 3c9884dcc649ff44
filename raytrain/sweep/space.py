"""The space of a sweep: what may be searched, checked whole before anything starts, and drawn from."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raytrain.config.defaults import EncoderStart, trains_encoder, unread_keys
from raytrain.config.schema import Config
from raytrain.config.validate import config_keys, nearest_key, validate_config
from raytrain.errors import ConfigError
from raytrain.sweep.domain import Domain, default_rates, random_value, read_domain
from raytrain.tasks import ARCHITECTURES, reads_encoder

INPUT_SECTIONS = ("encoder.", "words.")
# What decides where and on what is trained, not how.
_FIXED = (
    *("name", "storage", "seed", "task", "baseline", "data", "folds"),
    *("ensemble", "cache", "cluster", "distill", "report", "sweep", "tracking"),
    *("train.precision", "train.restarts"),
    "train.pseudo_labels",
)

Point = dict[str, Any]  # config key to value
_NOTHING_TO_SEARCH = "tfidf has nothing that a sweep searches; leave it out, a run may have it again"


Draw = Callable[[str, Domain], Any]  # (name, domain) to a value; a name has one domain


@dataclass(frozen=True)
class SearchSpace:
    """What a sweep searches.

    Attributes:
        architectures: Each trial has one of them.
        shared: Config key to domain, for every architecture.
        own: Architecture to config key to domain, for it alone.
    """

    architectures: tuple[str, ...]
    shared: dict[str, Domain]
    own: dict[str, dict[str, Domain]]

    def searches(self, key: str) -> bool:
        """Whether any architecture's trials differ in a key."""
        return key in self.shared or any(key in domains for domains in self.own.values())

    def values_of(self, key: str) -> list[Any]:
        """The choices of a key, of all architectures."""
        domains = [space[key] for space in (self.shared, *self.own.values()) if key in space]
        return [value for domain in domains for value in domain.values]

    def draw(self, draw: Draw) -> Point:
        """One point: the architecture, then the keys that apply to it."""
        architecture = draw("model.architecture", Domain("choice", self.architectures))
        point = {"model.architecture": architecture}
        point |= {key: draw(key, domain) for key, domain in self.shared.items()}
        for key, domain in self.own[architecture].items():
            if domain.belongs_to(point):
                point[key] = draw(f"{key} ({architecture})", domain)
        return point

    def sample(self, num_points: int, seed: int) -> list[Point]:
        """Independent random points; a longer list of the same seed begins with the shorter one."""
        rng = np.random.default_rng(seed)
        return [self.draw(lambda _, domain: random_value(domain, rng)) for _ in range(num_points)]

    def grid(self) -> list[Point]:
        """Every combination. Raises ConfigError where a key has a range instead of a list."""
        problems = [
            f"sweep.space.{key}: expected a list of values for sweep.search=grid, found {domain.kind}"
            for domains in (self.shared, *self.own.values())
            for key, domain in domains.items()
            if domain.kind != "choice"
        ]
        if problems:
            raise ConfigError("the sweep's space has no grid", list(dict.fromkeys(problems)))
        return [point for architecture in self.architectures for point in self._grid_of(architecture)]

    def _grid_of(self, architecture: str) -> Iterator[Point]:
        domains = self.shared | self.own[architecture]
        for values in itertools.product(*(domain.values for domain in domains.values())):
            yield {"model.architecture": architecture, **dict(zip(domains, values, strict=True))}


def read_space(config: Config, start: EncoderStart) -> SearchSpace:
    """Reads and checks sweep.space; learning rates that it does not mention get a range of their own.

    A domain is a list of values, {uniform: [a, b]}, {loguniform: [a, b]}, {randint: [a, b]}, {choice: […]},
    or one of these for each architecture, by its name.

    Args:
        config: The config that every trial starts from.
        start: How the encoder begins.

    Raises:
        ConfigError: With every key and domain that cannot be searched.
    """
    problems: list[str] = []
    raw = dict(config.sweep.space)
    architectures = _architectures(raw.pop("model.architecture", None), config, problems)
    space = SearchSpace(architectures, {}, {name: {} for name in architectures})
    for key, value in raw.items():
        if not _refuse_key(key, problems):
            _read_key(key, value, space, ARCHITECTURES[config.task], problems)
    for name in architectures if config.sweep.search != "grid" else ():
        searched = (space.shared | space.own[name]).get("model.train_encoder")
        rates = _rates_of(name, config, start, searched)
        if {"encoder.checkpoint", "encoder.pretrained"} & (space.shared | space.own[name]).keys():
            # Encoders of other sizes want other rates: each trial's is its own encoder's default.
            rates.pop("train.encoder_learning_rate", None)
        for key, domain in rates.items():
            told = config.train.of(name)[key.removeprefix("train.")]
            if key not in space.shared | space.own[name] and told is None:
                space.own[name][key] = domain
    problems += _unfit_values(space, config)
    there = config.folds.num_folds * config.folds.repeats
    if config.sweep.num_folds > there:
        problems.append(f"sweep.num_folds={config.sweep.num_folds}: the run has only {there} folds")
    if problems:
        raise ConfigError("the sweep cannot be started", list(dict.fromkeys(problems)))
    return space


def _rates_of(name: str, config: Config, start: EncoderStart, searched: Domain | None) -> dict[str, Domain]:
    """The learning rates worth searching of an architecture whose `model.train_encoder` may be searched."""
    if searched is None:
        return default_rates(name, start, trains_encoder(config, name, start.pretrained))
    frozen = tuple(value for value in searched.values if not _trains_with(value, name, config, start))
    rates = default_rates(name, start, train_encoder=len(frozen) < len(searched.values))
    if frozen:  # a finetuned encoder's rate is the head's, too, but for trials that have no such rate
        of_frozen = default_rates(name, start, train_encoder=False)
        rates |= {key: replace(of_frozen[key], only_with=frozen) for key in of_frozen.keys() - rates.keys()}
    return rates


def _trains_with(value: Any, name: str, config: Config, start: EncoderStart) -> bool:
    """Whether an encoder trains with this `model.train_encoder`, or null, which leaves it open."""
    model = config.model.model_copy(update={"train_encoder": value})
    return trains_encoder(config.model_copy(update={"model": model}), name, start.pretrained)


def _read_key(
    key: str, value: Any, space: SearchSpace, architectures: Sequence[str], problems: list[str]
) -> None:
    """Adds one key's domain to the space, for all architectures or for those that it names."""
    where, is_input = f"sweep.space.{key}", key.startswith(INPUT_SECTIONS)
    if isinstance(value, dict) and value and all(name in architectures for name in value):
        if is_input:
            problems.append(f"{where}: expected one list for all architectures; they share the features")
        for name, part in value.items():
            domain = read_domain(part, f"{where}.{name}", problems)
            if name not in space.own:
                problems.append(f"{where}.{name}: no trial has this architecture")
            elif domain is not None:
                space.own[name][key] = domain
        return
    domain = read_domain(value, where, problems)
    if domain is not None and domain.kind != "choice" and is_input:
        problems.append(f"{where}: expected a list, because the corpus is encoded for each of its values")
    elif domain is not None:
        space.shared[key] = domain


def _architectures(value: Any, config: Config, problems: list[str]) -> tuple[str, ...]:
    if not all(reads_encoder(name) for name in config.model.architectures):
        problems.append(f"model.architecture: {_NOTHING_TO_SEARCH}")
    if value is None:
        return tuple(name for name in config.model.architectures if reads_encoder(name))
    domain = read_domain(value, "sweep.space.model.architecture", problems)
    names = domain.values if domain is not None and domain.kind == "choice" else ()
    known = [name for name in ARCHITECTURES[config.task] if reads_encoder(name)]
    if not all(reads_encoder(name) for name in names):
        problems.append(f"sweep.space.model.architecture: {_NOTHING_TO_SEARCH}")
        return ()
    unknown = [name for name in names if name not in known]
    if not names or unknown or len(set(names)) != len(names):
        expected = f"expected a list of {', '.join(known)}, each once"
        problems.append(f"sweep.space.model.architecture: {expected}; found {value!r}")
        return ()
    return names


def _refuse_key(key: str, problems: list[str]) -> bool:
    where = f"sweep.space.{key}"
    if key.split(".")[0] in _FIXED or key in _FIXED:
        problems.append(f"{where}: cannot be searched: every trial has the same")
    elif key not in config_keys():
        near = nearest_key(key)
        problems.append(f"{where}: unknown key" + (f"; did you mean {near}?" if near else ""))
    else:
        return False
    return True


def _unfit_values(space: SearchSpace, config: Config) -> list[str]:
    """Values that the config would refuse, by their keys."""
    problems = []
    for name in space.architectures:
        domains = space.shared | space.own[name]
        if "model.pooling" in domains and "finetune" not in space.architectures:
            problems.append("sweep.space.model.pooling: expected finetune among the trials; found none")
        for key, domain in domains.items():
            for value in domain.extremes():
                try:
                    with_point(config, {"model.architecture": name, key: value})
                except ConfigError as error:
                    problems += [f"sweep.space.{problem}" for problem in error.problems]
    return problems


def with_point(config: Config, point: Point) -> Config:
    """The config with a point's values. Raises ConfigError where one is not valid."""
    values = config.model_dump(mode="json")
    for key, value in point.items():
        *sections, leaf = key.split(".")
        place = values
        for section in sections:
            place = place[section]
        place[leaf] = value
    if "model.architecture" in point:  # a run may have several, a trial has one
        for key, neutral in unread_keys(np.atleast_1d(values["model"]["architecture"]).tolist()).items():
            section, leaf = key.split(".")
            values[section][leaf] = neutral
    return validate_config(values)


def input_points(space: SearchSpace) -> list[Point]:
    """Every combination of the values on which features depend: of the encoder's and the words' keys."""
    domains = {key: domain for key, domain in space.shared.items() if key.startswith(INPUT_SECTIONS)}
    combinations = itertools.product(*(domain.values for domain in domains.values()))
    return [dict(zip(domains, values, strict=True)) for values in combinations]
