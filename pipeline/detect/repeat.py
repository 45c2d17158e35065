"""When an alert that has been sent is sent again: only when it is much more severe, or when the last time is long ago.

In: severities and what was sent last. Out: yes or no for each. It never looks at rules or windows.
"""

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.detect.tuning import TUNING

Floats = npt.NDArray[np.float64]


def sends(severity: Floats, sent_severity: Floats, sent_us: npt.NDArray[np.int64], time_us: npt.NDArray[np.int64] | int) -> npt.NDArray[np.bool_]:
    """Whether to send now, for arrays of one length. severity: 1 is the band's edge. sent_severity: of the last one sent, 0 if none; sent_us: its time.

    Yes where the last one is more than two hours old, or less severe; if it was an alert (severity 1 or more), less than half as severe.
    """
    last = np.where(time_us - sent_us > TUNING.repeat_s * 1e6, 0.0, sent_severity)
    sent: npt.NDArray[np.bool_] = severity > last * np.where(last >= 1.0, TUNING.repeat_factor, 1.0)
    return sent
