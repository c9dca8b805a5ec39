"""What a model computes: architecture, weights, one step of the decoder."""
