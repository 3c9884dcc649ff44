"""Files of arrays as others wrote them, opened without running what may lie in them."""
