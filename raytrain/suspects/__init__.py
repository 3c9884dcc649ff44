"""Labels that are probably wrong: found, listed for a person, taken back."""
