"""TensorFlow: models and their training."""
