"""Files of any size, predicted on the cluster by Ray Data."""
