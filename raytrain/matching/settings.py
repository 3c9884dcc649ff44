"""How many candidates are found of a query where nothing is said, and of how many the ranks are fused."""

TOP = 5  # are given
RERANK = 50  # are judged
DEPTH = 100  # least ranks of each search that are fused
