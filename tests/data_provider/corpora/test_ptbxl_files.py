"""What PTB-XL's 500 Hz files hold, as docs/DATA.md says: 400 Hz samples in steps of 5 uV, interpolated by splines."""

import numpy as np
import pytest
import wfdb
from scipy.interpolate import CubicSpline

AT_500, AT_400 = np.arange(5000) / 500, np.arange(4000) / 400


def interpolated(microvolts: np.ndarray) -> np.ndarray:
    return CubicSpline(AT_400, microvolts, axis=-1, bc_type="natural")(AT_500)


def measured(microvolts: np.ndarray) -> np.ndarray:
    """The 400 Hz samples whose spline is closest to 500 Hz samples, in steps of 5 uV."""
    found = CubicSpline(AT_500, microvolts, axis=-1)(AT_400)
    for _ in range(30):
        found += CubicSpline(AT_500, microvolts - interpolated(found), axis=-1)(AT_400)
    return 5 * np.round(found / 5)


@pytest.mark.parametrize("name", ["00001", "00011", "00110"])
def test_500_hz_samples_are_splines_through_400_hz_samples(shared_data, name):
    record = wfdb.rdrecord(str(shared_data / f"ptb-xl/records500/00000/{name}_hr"), physical=False)
    stored = record.d_signal.T.astype(float)
    assert record.adc_gain == [1000.0] * 12
    at_400 = measured(stored)
    again = np.round(interpolated(at_400))
    augmented = [record.sig_name.index(lead) for lead in ("AVR", "AVL", "AVF")]
    others = [row for row in range(12) if row not in augmented]
    np.testing.assert_array_equal(again[others], stored[others])
    i, ii, iii = at_400[:3]
    np.testing.assert_array_equal(iii, ii - i)
    from_i_and_ii = np.round(interpolated(np.stack([-(i + ii) / 2, i - ii / 2, ii - i / 2])))
    assert np.abs(from_i_and_ii - stored[augmented]).max() <= 1
