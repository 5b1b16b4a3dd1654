"""Publish a checkpoint, serve it, and ask one on a server."""
