"""``python -m model.serving`` is ``cardiolect``."""

from model.serving.cli import run

if __name__ == "__main__":
    run()
