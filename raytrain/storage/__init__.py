"""Places that hold files: directories and object stores, whole files or none, a cache, and outages."""
