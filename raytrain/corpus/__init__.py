"""Files to labelled rows and folds."""
