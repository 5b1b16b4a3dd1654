"""What a tokenizer keeps of an ECG: ``cardiolect fidelity --tokenizer DIR --data DIR``."""
