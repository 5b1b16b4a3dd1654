"""A page in the browser: look at an ECG and its tokens, ask a checkpoint about it."""

from model.serving.demo.server import launch

__all__ = ["launch"]
