"""Stage 1: representations of 12-lead ECGs, above all a VQ tokenizer that encodes them as discrete codes."""
