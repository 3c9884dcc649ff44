"""Ray Tune over any key of the config."""
