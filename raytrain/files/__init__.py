"""Files of rows as others wrote them: compression, encoding, quoting, format."""
