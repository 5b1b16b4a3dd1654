"""Downloads open corpora into folders for ``cardiolect prepare``, resumably and with verified checksums."""
