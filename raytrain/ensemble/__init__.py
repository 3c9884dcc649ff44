"""The artifact of a run and what is made of it: predictions."""
