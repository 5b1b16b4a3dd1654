"""Published corpora -> manifests: one module each, run by ``python -m data_provider.prepare NAME``."""
