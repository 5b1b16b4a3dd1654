"""ECGs as symbols merged by byte-pair encoding: ``REPRESENTATION=bpe``."""
