"""Ray Serve: predictions over HTTP, and a page for who has no program to ask with."""
