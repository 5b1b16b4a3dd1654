"""``python -m cardiolect`` is ``cardiolect``."""

from cardiolect.model.cli.commands import run

if __name__ == "__main__":
    run()
