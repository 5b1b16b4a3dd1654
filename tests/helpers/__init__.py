"""What several tests need beside the fixtures of conftest.py."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
