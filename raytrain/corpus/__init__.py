"""Files to labelled rows, what callers hand over to texts; near-duplicates among them."""
