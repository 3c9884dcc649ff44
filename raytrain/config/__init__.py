"""What a run is told: its keys, their defaults, the file and the command line they come from."""
