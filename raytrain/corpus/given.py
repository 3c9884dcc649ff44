"""Texts as callers hand them over: lists, arrays, columns of tables."""

from collections.abc import Iterable, Mapping, Set
from typing import Any

from raytrain.characters import holds_half
from raytrain.errors import InputError


def given_texts(texts: Iterable[Any], name: str = "texts") -> list[str]:
    """The texts as a list, in their order.

    Args:
        texts: Strings, in a list, a NumPy array, a column of pandas or Arrow, or anything else that gives
            one after another.
        name: Of the argument, for the message.

    Raises:
        InputError: It is one text, or holds what is none.

    Example:
        >>> import numpy as np
        >>> given_texts(np.array(["早餐好吃", "菜凉了"]))
        ['早餐好吃', '菜凉了']
    """
    if isinstance(texts, str | bytes):
        raise InputError(f"{name}: expected a list of texts, found one text: put it into a list")
    if isinstance(texts, Mapping | Set) or hasattr(texts, "columns"):  # these would give names, or no order
        found = f"a {type(texts).__name__}: name one of its columns"
        raise InputError(f"{name}: expected a list of texts, found {found}")
    listed = texts.to_pylist() if hasattr(texts, "to_pylist") else list(texts)
    for place, text in enumerate(listed):
        if not isinstance(text, str):
            raise InputError(
                f"{name}: expected texts, found {text!r} of type {type(text).__name__} at {place}"
            )
        if holds_half(text):
            found = f"half of one (a lone surrogate) at {place}"
            raise InputError(f"{name}: expected texts of whole characters, found {found}; mend the text")
    return [str(text) for text in listed]  # NumPy's strings are a kind of their own


def given_pairs(pairs: Iterable[Any] | None, num_texts: int, reads_pairs: bool) -> list[str] | None:
    """The second texts of pairs as a list, or None.

    Args:
        pairs: As of `given_texts`, or None.
        num_texts: How many first ones there are.
        reads_pairs: Whether what is asked was trained on pairs.

    Raises:
        InputError: They are there, or not, where it was trained otherwise; or are not as many.
    """
    if pairs is None:
        if reads_pairs:
            raise InputError("pairs: expected the second texts of the pairs it was trained on, found none")
        return None
    if not reads_pairs:
        raise InputError("pairs: expected none, for it was trained on single texts")
    listed = given_texts(pairs, "pairs")
    if len(listed) != num_texts:
        raise InputError(f"pairs: expected {num_texts:,}, as many as texts, found {len(listed):,}")
    return listed
