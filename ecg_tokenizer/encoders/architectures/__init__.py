"""The architectures of encoders, one file each."""
