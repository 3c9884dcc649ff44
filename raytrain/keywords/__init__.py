"""Telling words: found, marked by a person or chosen by a fold, counted."""
