"""Questions to their answers: found among texts by vectors and words, judged by pair classifiers."""
