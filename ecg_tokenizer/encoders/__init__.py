"""ECGs as features of an encoder, projected into the language model: ``REPRESENTATION=encoder``."""
