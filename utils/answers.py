"""The answers to yes-or-no questions, for what must not import `utils.metrics`, which takes a second."""

YES, NO = "yes", "no"
