"""How good it is: metrics, spans, out-of-fold scores, the tables that tell them."""
