"""Rows to ids: tokens, words, windows, padded batches."""
