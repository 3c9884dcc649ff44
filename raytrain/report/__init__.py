"""A page that tells what a run found: what is read of its directory, and how it is told."""
