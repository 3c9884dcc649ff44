"""Cross-validated BERT/ALBERT fusion models for Chinese text, one Ray Train run per fold."""

import os

# bert4keras speaks Keras 2. Both variables must stand before anything imports TensorFlow, in every
# process; whoever imports a module of this package has imported this file first.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

__version__ = "0.1.0"
