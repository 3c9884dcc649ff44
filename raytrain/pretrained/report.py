"""One checkpoint, variable by variable, and whether it can be loaded. Imports TensorFlow."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from raytrain.errors import CheckpointError, printable
from raytrain.kinds import most_positions
from raytrain.network.encoders import build_transformer
from raytrain.network.layers import DropoutSeed
from raytrain.network.weights import Weights, compare_weights, load_weights, named_variables
from raytrain.pretrained.cost import cost_lines
from raytrain.pretrained.directory import EncoderFiles, holds_weights, read_encoder, read_notes
from raytrain.pretrained.weights import open_weights
from raytrain.text.encode import count_tokens, tokenizer_of


def report_checkpoint(directory: Path, console: Console) -> bool:
    """Prints a checkpoint's config, its tokenizer, its variables, and whether they are the config's.

    Returns:
        Whether it can be loaded.

    Raises:
        CheckpointError: The directory holds no encoder, or its weights are not readable.
    """
    encoder = read_encoder(str(directory), holds_weights(str(directory)), maxlen=1, key="")
    console.print(f"{directory}\n", highlight=False, markup=False, soft_wrap=True)
    console.print(_facts(encoder), "")
    tokenizer_of(encoder.vocab)
    transformer = build_transformer(encoder.kind, encoder.config, 0, DropoutSeed())
    count = sum(int(variable.shape.num_elements()) for variable in named_variables(transformer).values())
    lines = [f"{count:,} parameters in the encoder"]
    problems: list[str] = []
    if encoder.weights is None:
        lines.append("no weights here: use it with encoder.pretrained=false")
    else:
        weights = open_weights(encoder.kind, encoder.weights)
        problems, unread = compare_weights(transformer, weights)
        problems = problems or _unreadable(transformer, weights)
        console.print(_variables(weights, unread), "")
        lines.append(f"layout: {weights.layout}")
        lines.append(f"{len(unread)} variables that no encoder reads" if unread else "every variable is read")
        lines.append("it does not fit its config:" if problems else "nothing is missing: it can be loaded")
    if not problems:
        lines += cost_lines(transformer, count, most_positions(encoder.kind, encoder.config))
    lines += [f"  - {problem}" for problem in problems]
    console.print(printable("\n".join(lines)), highlight=False, markup=False, soft_wrap=True)
    return not problems


def _unreadable(transformer: Any, weights: Weights) -> list[str]:
    """What keeps variables of the right names and shapes from being loaded."""
    try:
        load_weights(transformer, weights)
    except CheckpointError as error:
        return [str(error)]
    return []


def _facts(encoder: EncoderFiles) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("key", no_wrap=True)
    table.add_column("value", overflow="fold")
    for key, value in encoder.config.items():
        table.add_row(_told(key), _told(str(value)))
    size = f"{count_tokens(encoder.vocab):,}"
    is_pieces, kept = isinstance(encoder.vocab.tokens, bytes), str(encoder.vocab.folding)
    told = f"SentencePiece, {size} pieces" if is_pieces else f"WordPiece, {size} tokens"
    table.add_row("tokenizer", f"{told}, {kept} kept" if kept else told)
    for note in read_notes(encoder):
        table.add_row("", _told(note))
    return table


def _told(text: str) -> Text:
    """A stranger's string: no markup, and nothing that a terminal obeys."""
    return Text(printable(text))


def _variables(weights: Weights, unread: list[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("variable, by Google's name", overflow="fold")
    table.add_column("shape", justify="right", no_wrap=True)
    table.add_column("")
    others = set(unread)
    for name in sorted(weights.shapes):
        shape = " × ".join(map(str, weights.shapes[name]))
        table.add_row(_told(name), shape, "not read" if name in others else "")
    return table
