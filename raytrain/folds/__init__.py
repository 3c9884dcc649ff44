"""Fold runs on Ray Train: what one is told, how it runs, what it leaves."""
