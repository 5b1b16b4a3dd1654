"""The simulator's varied mode: hearts first, labels measured on the signal that they give, noise and filters last."""
