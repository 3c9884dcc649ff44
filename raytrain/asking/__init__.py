"""The commands that ask what has been trained."""
