"""Texts without labels in groups: found, told by their words, drawn."""
