"""Training recordings that are similar to an ECG, whose texts a prompt can have (retrieval-augmented generation)."""
