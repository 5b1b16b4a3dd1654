"""A simulator of labelled 12-lead ECGs: truth first, then the signal that shows it, questions and reports about it."""

from cardiolect.data_provider.simulator.render import clean_signal, simulate
from cardiolect.data_provider.simulator.truth import Truth

__all__ = ["Truth", "clean_signal", "simulate"]
