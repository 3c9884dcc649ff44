"""Rows to folds: dealt at random or by time, and kept in a file."""
