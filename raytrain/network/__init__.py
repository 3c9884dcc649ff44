"""TensorFlow: encoders, heads and what they are made of."""
