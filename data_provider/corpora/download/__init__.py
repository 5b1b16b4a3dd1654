"""Downloads open corpora into folders for ``cardiolect prepare``: resumable, verified, never incomplete."""
