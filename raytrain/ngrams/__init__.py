"""The classifier without a network: n-grams by TF-IDF, its training, the baselines."""
