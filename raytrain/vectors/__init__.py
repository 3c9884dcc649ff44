"""Texts as vectors: of an encoder, whitened, in a file."""
