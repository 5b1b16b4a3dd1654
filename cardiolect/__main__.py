"""``cardiolect``, also as ``python -m cardiolect``."""

import signal

# An import that Ctrl-C interrupts would print a traceback; as it is, the signal just ends the process. Not if a parent
# has it ignored.
IMPORTING = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if IMPORTING:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from cardiolect.model.cli import commands  # noqa: E402


def run() -> None:
    """Run the command line. From here on Ctrl-C is handled by `run_command`."""
    if IMPORTING:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    commands.run()


if __name__ == "__main__":
    run()
