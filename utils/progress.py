"""Progress of long work: a bar on a terminal, and a line twice a minute if output goes to a file."""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from tqdm import tqdm

LINE_SECONDS = 30.0
LOG = "training.log"  # in OUTPUT_DIR of every stage


class Lines:
    """As much of `tqdm.tqdm` as is used here. It prints lines to stderr, and none in the first half minute."""

    def __init__(
        self,
        items: Iterable | None = None,
        desc: str = "",
        total: int | None = None,
        unit: str = "item",
        initial: int = 0,
        disable: bool | None = False,
        **of_bars: Any,
    ):
        self.items, self.desc, self.unit, self.n, self.initial = items, desc, unit, initial, initial
        self.total = len(items) + initial if total is None and hasattr(items, "__len__") else total
        self.disable, self.postfix, self.shown = bool(disable), "", None
        self.start = self.printed = time.monotonic()

    def __iter__(self) -> Iterator:
        try:
            for item in self.items:
                yield item
                self.update()
        finally:
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def update(self, n: int = 1) -> None:
        self.n += n
        if time.monotonic() - self.printed >= LINE_SECONDS:
            self._print()

    def set_postfix(self, refresh: bool = True, **values: Any) -> None:
        self.postfix = ", ".join(f"{name} {value}" for name, value in values.items())

    def close(self) -> None:
        """Print the last line, if there was one before."""
        if self.shown not in (None, self.n):
            self._print()
        self.disable = True

    def _print(self) -> None:
        self.printed = time.monotonic()
        if self.disable:
            return
        self.shown = self.n
        done, seconds = self.n - self.initial, self.printed - self.start
        words = [f"{self.n:,} of {self.total:,} ({self.n / self.total:.0%})" if self.total else f"{self.n:,}"]
        if done:
            words.append(rate_in_words(done / seconds, self.unit))
            if self.total and self.n < self.total:
                words.append(f"{time_in_words((self.total - self.n) * seconds / done)} left")
        words += [self.postfix] if self.postfix else []
        print(f"{self.desc}: {', '.join(words)}" if self.desc else ", ".join(words), file=sys.stderr, flush=True)


def progress(items: Iterable | None = None, desc: str = "", total: int | None = None, **options: Any) -> tqdm | Lines:
    """`tqdm.tqdm` with its options on a terminal, `Lines` elsewhere."""
    return (tqdm if sys.stderr.isatty() else Lines)(items, desc, total, **options)


def rate_in_words(per_second: float, unit: str) -> str:
    """For example "87.2 ECG/s", or "1.3 s per step" if a step takes longer than a second."""
    return f"{per_second:,.1f} {unit}/s" if per_second >= 1 else f"{1 / per_second:,.1f} s per {unit}"


def time_in_words(seconds: float) -> str:
    """For example "40 s", "12 min" or "3 h 20 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class StepLog:
    """The course of a training run: lines in ``folder/training.log``, and on a terminal a bar, elsewhere the lines.

    after: the step that a resumed run goes on after.
    """

    def __init__(self, folder: Path, desc: str, steps: int, after: int = 0):
        self.steps, self.after, self.began = steps, after, time.monotonic()
        self.file = (folder / LOG).open("a", encoding="utf-8")
        bar = {"total": steps, "initial": after, "desc": desc, "unit": "step", "mininterval": 1}
        self.bar = tqdm(**bar) if sys.stderr.isatty() else None
        self._write(f"{desc}: {steps} steps" + (f", going on after step {after}" if after else ""))

    def step(self, step: int) -> None:
        """A step is done."""
        if self.bar is not None:
            self.bar.update(step - self.bar.n)

    def trained(self, step: int, figures: str) -> None:
        """A line about the steps since the last one, with the time that is left."""
        seconds = (time.monotonic() - self.began) / max(1, step - self.after)
        left = f", {time_in_words(seconds * (self.steps - step))} left" if step < self.steps else ""
        self._write(f"step {step} of {self.steps}: {figures}{left}")
        if self.bar is not None:
            self.bar.set_postfix_str(figures)

    def validated(self, step: int, figures: str) -> None:
        """A line about a validation."""
        self._write(f"step {step} of {self.steps}: {figures}", beside_bar=True)

    def close(self) -> None:
        self.file.close()
        if self.bar is not None:
            self.bar.close()

    def _write(self, line: str, beside_bar: bool = False) -> None:
        self.file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
        self.file.flush()
        if self.bar is None or beside_bar:
            tqdm.write(line, file=sys.stderr)
            sys.stderr.flush()
