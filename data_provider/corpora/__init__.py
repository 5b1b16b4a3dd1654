"""Published corpora -> manifests: one module each, run by ``cardiolect prepare NAME``."""
