"""Labels that are probably wrong: found, listed for a person, and taken back as that person wrote them."""
