"""From what several models say to one decision: weights, temperature, costs."""
