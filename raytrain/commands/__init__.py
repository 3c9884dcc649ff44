"""The command line: what trains."""
