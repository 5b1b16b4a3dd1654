"""A web page: view an ECG and its tokens, and ask a checkpoint about it."""

from cardiolect.model.demo.server import launch

__all__ = ["launch"]
