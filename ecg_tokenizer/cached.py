"""A corpus as a representation prepares it, in the cache: training and evaluation both begin here."""

from collections.abc import Iterable
from functools import partial

import numpy as np

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.settings import DataSettings
from cardiolect.data_provider.storage.item_cache import Filling, ItemCache, fill_cache
from cardiolect.data_provider.storage.stream import report_bad
from cardiolect.ecg_tokenizer.base import ECGRepresentation, PreparedECG
from cardiolect.utils import launch
from cardiolect.utils.device import choose_device


class CachedECGs:
    """Recordings as a representation prepares them, by reference."""

    def __init__(self, representation: ECGRepresentation, cache: ItemCache):
        self.representation, self.cache = representation, cache

    def __contains__(self, ref: RecordRef) -> bool:
        return ref in self.cache

    def item(self, ref: RecordRef) -> np.ndarray:
        """As `ECGRepresentation.prepare` made it; KeyError for a recording that could not be read."""
        return self.cache.item(ref)

    def ecg(self, ref: RecordRef) -> PreparedECG:
        """The recording as it stands in a prompt, under its record id."""
        return self.representation.prepared(ref.record_id, self.cache.item(ref))

    def num_tokens(self, ref: RecordRef) -> int:
        return self.representation.num_tokens(self.cache.item(ref))


def prepare_corpus(representation: ECGRepresentation, refs: Iterable[RecordRef], settings: DataSettings) -> CachedECGs:
    """Prepare ``refs`` into the cache, each once; every rank prepares its share of those that are missing.

    Raises `UserError` as soon as more than MAX_BAD_RECORDS of all recordings cannot be read.
    """
    folder = settings.cache_dir / representation.name / representation.fingerprint()
    refs = list({ref.record_id: ref for ref in refs}.values())
    allowed = int(settings.max_bad_records * len(refs))
    cache, bad, share = ItemCache(folder), {}, slice(launch.rank(), None, launch.world_size())
    representation.to(choose_device(settings.device))
    rate = representation.sampling_rate
    prepare = partial(representation.prepare, fs=rate)
    filling = fill_cache(cache, refs[share], prepare, rate, settings.workers, bad, allowed)
    representation.to("cpu")
    cache.close()
    # Each rank has looked at the files of its share: on a network that takes minutes, once is enough.
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
        raise SystemExit(2)  # the main rank says why
    launch.barrier()
    keys = {
        ref: key
        for rank, (_, _, found) in enumerate(parts)
        for ref, key in zip(refs[rank :: launch.world_size()], found.tolist(), strict=True)
    }
    return CachedECGs(representation, ItemCache(folder, keys))
