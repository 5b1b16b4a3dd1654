"""An evaluation as a document: samples with their predictions, scores, tables, a page, comparisons of runs."""
