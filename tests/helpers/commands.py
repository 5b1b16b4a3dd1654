"""What a command says before it ends."""

import pytest

from cardiolect.utils.errors import exit_on_user_error


def refused(main, arguments: list, capsys) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        exit_on_user_error(lambda: main([str(each) for each in arguments]))
    assert stopped.value.code == 2
    said = capsys.readouterr().err.rpartition("\r")[2]
    assert "error: " in said and "Traceback" not in said
    return said
