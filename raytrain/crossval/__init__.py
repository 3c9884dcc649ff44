"""The driver: from a config to an ensemble."""
