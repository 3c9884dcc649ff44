"""How many candidates are found of a query where nothing is said."""

TOP = 5  # are given
RERANK = 50  # are judged
