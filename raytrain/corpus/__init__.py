"""Files to labelled rows; near-duplicates among them."""
