"""A corpus in its caches: signals for stage 1, prepared items for later training and evaluation."""

import hashlib
from collections.abc import Container, Iterable, Mapping
from functools import partial

import numpy as np

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.settings import DataSettings
from cardiolect.data_provider.splits import Split
from cardiolect.data_provider.storage.item_cache import Filling, ItemCache, fill_cache
from cardiolect.data_provider.storage.remarks import Remark
from cardiolect.data_provider.storage.signal_cache import SignalCache, open_signal_cache
from cardiolect.data_provider.storage.stream import report_bad
from cardiolect.ecg_tokenizer.base import ECGRepresentation, PreparedECG
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
    """Prepared recordings, looked up by reference. bad: ids of those that count as unreadable in this run."""

    def __init__(self, representation: ECGRepresentation, cache: ItemCache, bad: Container[str] = ()):
        self.representation, self.cache, self.bad = representation, cache, bad

    def __contains__(self, ref: RecordRef) -> bool:
        return ref.record_id not in self.bad and ref in self.cache

    def item(self, ref: RecordRef) -> np.ndarray:
        """The item that `ECGRepresentation.prepare` made; KeyError for a recording that could not be read."""
        return self.cache.item(ref)

    def ecg(self, ref: RecordRef) -> PreparedECG:
        """The recording prepared for a prompt; its key is the record id."""
        return self.representation.prepared(ref.record_id, self.cache.item(ref))

    def remark(self, ref: RecordRef) -> Remark:
        """Which leads were absent, computed or masked when the recording was prepared."""
        return self.cache.remarks[self.cache.key(ref)]

    def num_tokens(self, ref: RecordRef) -> int:
        return self.representation.num_tokens(self.cache.item(ref))


def prepare_corpus(representation: ECGRepresentation, refs: Iterable[RecordRef], settings: DataSettings) -> CachedECGs:
    """Prepare every recording of ``refs`` that the cache lacks; the ranks that have the cache in common share the work.

    Raises `UserError` as soon as the share of unreadable recordings exceeds MAX_BAD_RECORDS.
    """
    folder = settings.cache_dir / representation.name / representation.fingerprint()
    refs = list({ref.record_id: ref for ref in refs}.values())
    allowed = int(settings.max_bad_records * len(refs))
    listed = hashlib.sha256("\n".join(ref.record_id for ref in refs).encode()).hexdigest()
    if len(set(launch.gather(listed))) > 1:
        raise UserError("DATA_ROOT, *_DATA: the machines of this run list different recordings; copy the files again")
    sharing = launch.sharing_ranks(folder)  # all, or with a local CACHE_DIR those of this machine
    cache, bad, share = ItemCache(folder), {}, slice(sharing.index(launch.rank()), None, len(sharing))
    representation.to(choose_device(settings.device))
    rate = representation.sampling_rate
    prepare = partial(representation.prepare, fs=rate)
    check_leads = settings.lead_law == "error"
    filling = fill_cache(cache, refs[share], prepare, rate, settings.workers, bad, allowed, check_leads)
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
    return CachedECGs(representation, ItemCache(folder, keys), frozenset(of_all_ranks))
