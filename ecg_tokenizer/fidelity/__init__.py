"""What a tokenizer keeps of an ECG: ``python -m ecg_tokenizer.fidelity --tokenizer DIR --data DIR``."""
