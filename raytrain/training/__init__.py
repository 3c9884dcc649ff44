"""A model learns a fold's rows: objectives, steps, epochs."""
