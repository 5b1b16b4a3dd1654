"""The demo's page with one tiny checkpoint, and a visitor of it."""

from pathlib import Path

import pytest

from cardiolect.model.demo import server
from cardiolect.model.inference.chat import ECGChat


@pytest.fixture(scope="module")
def loads() -> list[Path]:
    """The folders that a checkpoint was loaded from, one for each time."""
    return []


@pytest.fixture(scope="module")
def feedback(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("feedback")


@pytest.fixture(scope="module")
def demo(checkpoint_folder, loads, feedback):
    """The page with one tiny checkpoint, feedback kept, uploads of at most 2 MB."""
    from_pretrained = ECGChat.from_pretrained

    def counted(folder, *options):
        loads.append(folder)
        return from_pretrained(folder, *options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ECGChat, "from_pretrained", counted)
        running = server.start(checkpoint_folder, port=0, device="cpu", feedback=feedback, max_upload_mb=2)
    yield running
    running.close()
    assert not running.folder.exists()


@pytest.fixture(scope="module")
def chat(checkpoint_folder) -> ECGChat:
    return ECGChat.from_pretrained(checkpoint_folder, device="cpu")


@pytest.fixture
def client(demo, tmp_path):
    from tests.helpers.demo import new_client  # which skips tests without Gradio

    return new_client(demo, tmp_path)
