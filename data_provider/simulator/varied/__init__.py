"""The simulator's varied mode: hearts first, labels measured on their clean signal, noise and filters last."""
