"""A page in the browser: look at an ECG and its tokens, ask a checkpoint about it."""

from cardiolect.model.demo.server import launch

__all__ = ["launch"]
