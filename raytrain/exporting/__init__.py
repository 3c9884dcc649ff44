"""Ensembles in formats that others read: one graph from ids to probabilities, and what makes the ids."""
