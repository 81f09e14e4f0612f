"""A checkpoint as a model folder: graph, margin, confidence, card."""
