"""Times of any form give the sampling rate of a table, or contradict a layout; missing samples show in them."""

import pytest

from cardiolect.data_provider.record import LEADS
from tests.helpers.text_tables import FS, IN_MV, LAYOUT, assert_read, refused, seconds, text

TIMES = {
    "seconds": (["time"], seconds),
    "elapsed": (["Elapsed time"], lambda row: f"00:00:{row / FS:06.3f}"),
    "minutes": (["'Elapsed time'"], lambda row: f"'0:{row / FS:06.3f}'"),
    "decimal comma": (["Zeit"], lambda row: f'"00:00:{row / FS:06.3f}"'.replace(".", ",")),
    "date": (["timestamp"], lambda row: f"2020-01-01 10:00:{row / FS:06.3f}"),
    "ISO": (["Timestamp"], lambda row: f"2020-01-01T10:00:{row / FS:06.3f}+01:00"),
    "PhysioBank's date": (["'Time'"], lambda row: f"'[10:00:{row / FS:06.3f} 01/01/2020]'"),
    "date and time": (["Date", "Time"], lambda row: f"2020-01-01,10:00:{row / FS:06.3f}"),
    "midnight": (["time"], lambda row: f"23:59:{59 + row / FS:06.3f}" if row < FS else f"0:00:{row / FS - 1:06.3f}"),
    "noon": (["time"], lambda row: f"12:59:{58 + row / FS:06.3f} PM"),
    "milliseconds after a colon": (["time"], lambda row: f"10:00:{row // FS:02d}:{2 * row % 1000:03d}"),
    "milliseconds": (["time_ms"], lambda row: str(2 * row)),
    "milliseconds unsaid": (["Timestamp"], lambda row: str(2 * row)),
    "minutes as numbers": (["Time (min)"], lambda row: f"{row / FS / 60:.9f}"),
    "hours": (["time/h"], lambda row: f"{row / FS / 3600:.11f}"),
    "since 1970": (["timestamp"], lambda row: str(1_577_872_800_000 + 2 * row)),
    "days of a spreadsheet": (["time"], lambda row: f"{43831.4 + row / FS / 86400:.10f}"),
    "index and time": (["", "time"], lambda row: f"{row},{row / FS}"),
}


@pytest.mark.parametrize("kind", TIMES)
def test_times_of_any_form_give_the_rate(kind, tmp_path):
    names, first = TIMES[kind]
    channels = assert_read(tmp_path, text([*names, *IN_MV], first))
    assert channels.ignored == () and channels.notes[0].startswith("the sampling rate is that of the time column")
    assert_read(tmp_path, text([*names, *LEADS], first), LAYOUT)
    assert "time column means 500 Hz, and the layout next to it states 250 Hz" in refused(
        tmp_path, text([*names, *LEADS], first), LAYOUT | {"sampling_rate": 250}
    )


@pytest.mark.parametrize("fs", [128, 240, 257.3, 360, 960, 1000])
def test_rounded_times_give_the_exact_rate(fs, tmp_path):
    decimals = 6 if fs == 257.3 else 3
    table = text(["time", *LEADS], lambda row: f"{row / fs:.{decimals}f}", above="# unit: mV\n")
    if fs == 960:  # a second to the millisecond is not enough to tell it from 961 Hz
        assert "times that tell no sampling rate" in refused(tmp_path, table)
    else:
        assert_read(tmp_path, table, fs=fs)
    assert_read(tmp_path, table, LAYOUT | {"sampling_rate": fs}, fs=fs)


def test_coarse_times_and_counters_contradict_no_layout(tmp_path):
    for name, first in (
        ("time", lambda row: f"10:00:0{row // FS}"),
        ("time", str),
        ("time", lambda row: str(15_000 + row)),
        ("", str),
        ("sample #", str),
        ("date", lambda row: "2020-01-01"),
        ("time", lambda row: "morning"),
    ):
        assert_read(tmp_path, text([name, *LEADS], first), LAYOUT)


def test_missing_samples_and_times_that_go_back_are_named(tmp_path):
    later = text(["time", *LEADS], lambda row: seconds(row + 300 * (row > 99)))
    assert refused(tmp_path, later, LAYOUT).startswith("samples are missing before line 102, where the time jumps")
    assert refused(tmp_path, text(["time", *LEADS], lambda row: seconds(row % FS)), LAYOUT).startswith(
        "the time goes back in line 502"
    )
