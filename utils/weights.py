"""Checks that weights were written whole, and makes them as readable as other files."""

import os
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import safe_open

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, ...]


def save_weights(module: "nn.Module", path: Path) -> None:
    """Write the state of a module, and check that all of it was written."""
    from safetensors.torch import save_file  # imports PyTorch, which the checks below do without

    weights = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    save_file(weights, path)
    check_written([path], {name: tuple(value.shape) for name, value in weights.items()})


def check_written(files: Iterable[Path], shapes: Mapping[str, Shape], shared: Iterable[frozenset[str]] = ()) -> None:
    """Compare safetensors files with the shapes of the tensors they must hold, and delete them if they differ.

    Names may differ, because some models are written under other names than they have in memory; what is left on both
    sides must then have as many values. shared: groups of names of one tensor, of which the first found is enough.
    Raises RuntimeError.
    """
    files, written = list(files), {}
    for path in files:
        with safe_open(path, "pt") as file:
            written |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    needed = dict(shapes)
    for names in shared:
        for name in sorted(names & needed.keys(), key=lambda name: name not in written)[1:]:
            if name not in written:
                del needed[name]
    wrong = [
        f"{name} has {list(shape)}, the model {list(needed.get(name, shape))}"
        for name, shape in written.items()
        if 0 in shape or shape != needed.get(name, shape)
    ]
    missing, others = needed.keys() - written.keys(), written.keys() - needed.keys()
    if sum(prod(needed[name]) for name in missing) != sum(prod(written[name]) for name in others):
        wrong += [f"{name} is missing" for name in sorted(missing)] + [f"{name} is unknown" for name in sorted(others)]
    if wrong:
        for path in files:
            path.unlink()
        names = ", ".join(map(str, files))
        raise RuntimeError(f"damaged weights were written and are deleted ({names}): {'; '.join(wrong[:3])}")
    share(files)


def share(files: Iterable[Path]) -> None:
    """Give files the rights of any new file: safetensors writes them readable by their owner only."""
    os.umask(mask := os.umask(0o077))
    for path in files:
        path.chmod(0o666 & ~mask)
