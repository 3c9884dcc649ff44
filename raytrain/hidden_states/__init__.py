"""A frozen encoder's output for a corpus: computed once, kept on disk, read by every fold."""
