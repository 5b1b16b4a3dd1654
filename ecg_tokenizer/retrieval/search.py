"""Which rows of a table are closest to each of several vectors: exact, with NumPy or with faiss."""

from typing import Literal

import numpy as np

from cardiolect.ecg_tokenizer.retrieval.settings import check_faiss

Search = Literal["numpy", "faiss"]
_AT_ONCE = 2**24  # distances in memory


def closest_rows(table: np.ndarray, queries: np.ndarray, count: int, search: Search = "numpy") -> np.ndarray:
    """``(queries, count)``: rows of ``table`` with the smallest Euclidean distances, in any order.

    table, queries: float32 ``(n, d)`` and ``(m, d)``. count: at most n. Distances are those of float32 arithmetic;
    whoever needs the exact order asks for a few rows more. Raises `UserError` if faiss is not installed.
    """
    if search == "faiss":
        return _faiss(table, queries, count)
    squares = np.einsum("nd,nd->n", table, table)
    found = np.empty((len(queries), count), np.int64)
    block = max(1, _AT_ONCE // max(len(table), 1))
    for first in range(0, len(queries), block):
        distances = squares - 2 * queries[first : first + block] @ table.T  # without the queries' own squares
        found[first : first + block] = np.argpartition(distances, count - 1, axis=1)[:, :count]
    return found


def _faiss(table: np.ndarray, queries: np.ndarray, count: int) -> np.ndarray:
    check_faiss()
    import faiss

    index = faiss.IndexFlatL2(table.shape[1])
    index.add(np.ascontiguousarray(table))
    return index.search(np.ascontiguousarray(queries), count)[1]
