"""Waveform descriptions of machine statements, by retrieval over a folder of texts: ``cardiolect describe``."""
