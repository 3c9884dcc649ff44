"""Rows to folds, at random or by time."""
