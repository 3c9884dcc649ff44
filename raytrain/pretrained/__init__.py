"""Encoders from elsewhere: by name, by address, from a directory."""
