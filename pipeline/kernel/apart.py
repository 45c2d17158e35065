"""A call of librdkafka that may not come back in time.

In: a call, and how long it is worth waiting for. Out: whether it came back; what it raised. Never: a caller that waits for ever.
"""

import threading
from collections.abc import Callable

LOOK_S = 0.1


def apart(call: Callable[[], object], over: Callable[[], bool]) -> bool:
    """Run `call` in a thread of its own, until it is back or waiting is `over()`. Whether it is back; else the thread is left to it."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="tracebraid-apart", daemon=True)
    thread.start()
    thread.join(LOOK_S)
    while thread.is_alive() and not over():
        thread.join(LOOK_S)
    back = not thread.is_alive()
    if failed:
        raise failed[0]
    return back
