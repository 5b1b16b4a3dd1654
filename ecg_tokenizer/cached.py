"""A corpus in its caches: signals for stage 1, prepared items for later training and evaluation."""

import hashlib
from collections.abc import Container, Iterable, Mapping
from functools import partial

import numpy as np
import torch

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.settings import DataSettings
from cardiolect.data_provider.splits import Split
from cardiolect.data_provider.storage.item_cache import Filling, ItemCache, fill_cache
from cardiolect.data_provider.storage.remarks import Remark
from cardiolect.data_provider.storage.signal_cache import SignalCache, open_signal_cache
from cardiolect.data_provider.storage.stream import report_bad
from cardiolect.ecg_tokenizer.base import ECGRepresentation, Neighbour, PreparedECG
from cardiolect.utils import launch
from cardiolect.utils.device import choose_device
from cardiolect.utils.errors import UserError


def open_signals(settings: DataSettings, splits: Mapping[str, Split]) -> list[SignalCache]:
    """Signals of the training and validation splits at the SAMPLING_RATE of stage 1 settings, read once."""
    return [
        open_signal_cache(
            splits[name].records,
            settings.sampling_rate,
            settings.cache_dir,
            settings.workers,
            settings.max_bad_records,
            f"{name} recordings",
            settings.lead_law == "error",
        )
        for name in ("train", "valid")
    ]


class CachedECGs:
    """Prepared recordings, looked up by reference.

    bad: ids of those that count as unreadable in this run. seconds: length of the windows that longer recordings are
    prepared in, each as if it were a recording of its own; 0: all are prepared whole. Window 0 is the first.
    neighbours: similar training recordings by record id, which prompts have, perhaps none; random_neighbours: others in
    their place, for evaluation. Both are filled by `retrieval.corpus`; without an index they are empty.
    """

    def __init__(
        self, representation: ECGRepresentation, cache: ItemCache, bad: Container[str] = (), seconds: float = 0.0
    ):
        self.representation, self.cache, self.bad, self.seconds = representation, cache, bad, seconds
        self._windows: dict[str, int] = {}
        self.neighbours: Mapping[str, tuple[Neighbour, ...]] = {}
        self.random_neighbours: Mapping[str, tuple[Neighbour, ...]] = {}

    def __contains__(self, ref: RecordRef) -> bool:
        return ref.record_id not in self.bad and ref in self.cache

    def windows(self, ref: RecordRef) -> int:
        """How many windows of the recording were prepared: 1, unless it is longer than `seconds`."""
        if not self.seconds:
            return 1
        if ref.record_id not in self._windows:
            self._windows[ref.record_id] = self.cache.windows(ref)
        return self._windows[ref.record_id]

    def item(self, ref: RecordRef, window: int = 0) -> np.ndarray:
        """The item that `ECGRepresentation.prepare` made; KeyError for a recording that could not be read."""
        return self.cache.item(ref, window) if window else self.cache.item(ref)

    def ecg(self, ref: RecordRef, window: int = 0) -> PreparedECG:
        """A window of the recording, prepared for a prompt; its key is the record id, with the window's number."""
        key = (ref.record_id, window) if window else ref.record_id
        prepared = self.representation.prepared(key, self.item(ref, window))
        return prepared._replace(neighbours=self.neighbours.get(ref.record_id, ()))

    def remark(self, ref: RecordRef) -> Remark:
        """Which leads of the first window were absent, computed or masked, and how much the window leaves out."""
        return self.cache.remarks[self.cache.key(ref)]

    def num_tokens(self, ref: RecordRef, window: int = 0) -> int:
        return self.representation.num_tokens(self.item(ref, window))

    def cropped(self, refs: Iterable[RecordRef]) -> int:
        """How many of these recordings are longer than `seconds`, so that a window is used in place of the whole."""
        found = {ref.record_id: ref for ref in refs if ref in self} if self.seconds else {}
        return sum(self.remark(ref).cropped > 0 for ref in found.values())


def prepare_corpus(
    representation: ECGRepresentation,
    refs: Iterable[RecordRef],
    settings: DataSettings,
    seconds: float = 0.0,
    every_window: bool = False,
) -> CachedECGs:
    """Prepare every recording of ``refs`` that the cache lacks; the ranks that have the cache in common share the work.

    seconds: of longer recordings, prepare the first window of this length, or with ``every_window`` all windows
    (`data_provider.record.windows_of`). Windows are encoded one by one, and not cut out of the tokens of the whole:
    their tokens are those that a file of this window alone has, whatever the representation. A length has a cache of
    its own. 0: whole recordings.

    Raises `UserError` as soon as the share of unreadable recordings exceeds MAX_BAD_RECORDS.
    """
    folder = settings.cache_dir / representation.name / representation.fingerprint()
    if seconds:
        folder /= f"{'every' if every_window else 'first'}-{seconds}s"
    refs = list({ref.record_id: ref for ref in refs}.values())
    allowed = int(settings.max_bad_records * len(refs))
    listed = hashlib.sha256("\n".join(ref.record_id for ref in refs).encode()).hexdigest()
    if len(set(launch.gather(listed))) > 1:
        raise UserError("DATA_ROOT, *_DATA: the machines of this run list different recordings; copy the files again")
    sharing = launch.sharing_ranks(folder)  # all, or with a local CACHE_DIR those of this machine
    cache, bad, share = ItemCache(folder), {}, slice(sharing.index(launch.rank()), None, len(sharing))
    device = choose_device(settings.device)
    representation.to(device)
    rate, workers = representation.sampling_rate, settings.workers
    # Processes that also encode, with a thread each, neither wait for one another nor pass signals on; with fewer of
    # them than threads, or on a GPU, this process is the faster encoder.
    where_read = torch.device(device).type == "cpu" and workers >= torch.get_num_threads()
    prepare = partial(prepare_alone, representation) if where_read else partial(representation.prepare, fs=rate)
    check_leads = settings.lead_law == "error"
    filling = fill_cache(
        cache, refs[share], prepare, rate, workers, bad, allowed, check_leads, seconds, every_window, where_read
    )
    representation.to("cpu")
    cache.close()
    # Each rank checked the files of its share only: on a network drive, checking all of them takes minutes.
    parts = launch.gather((bad, filling, np.array([cache.key(ref) for ref in refs[share]], np.uint64)))
    of_all_ranks = {record: reason for bad, _, _ in parts for record, reason in bad.items()}
    if launch.is_main():
        filling = Filling.of_ranks([filling for _, filling, _ in parts])
        if filling.encoded:
            print(filling)
        if of_all_ranks:
            print(f"recordings that cannot be read are listed in {folder}/bad_records.jsonl")
        report_bad(of_all_ranks, len(refs), allowed)
    elif len(of_all_ranks) > allowed:
        raise SystemExit(2)  # the main rank reports why
    launch.barrier()
    keys = {
        ref: key
        for i, rank in enumerate(sharing)
        for ref, key in zip(refs[i :: len(sharing)], parts[rank][2].tolist(), strict=True)
    }
    return CachedECGs(representation, ItemCache(folder, keys), frozenset(of_all_ranks), seconds)


def prepare_alone(representation: ECGRepresentation, signals: list[np.ndarray]) -> list[np.ndarray]:
    """Items of signals at the representation's rate, computed by a single thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return representation.prepare(signals, representation.sampling_rate)
    finally:
        torch.set_num_threads(threads)
