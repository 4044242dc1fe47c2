"""What is set of the interpreter, so that the event loop waits for nobody else.

Whatever the loop waits for, every answer under way is measured too slow by as much.
"""

import gc
import sys

_SWITCH_SECONDS = 0.0005
_COLLECT_AFTER = (10_000, 20, 50)


def let_the_loop_run() -> None:
    """Set it for the whole process, once what lives as long has been built.

    A thread that computes (the history's, a page's) hands the interpreter over within half a
    millisecond, not five. The garbage collector stops everything while it looks, with ten thousand
    probes for a fifth of a second: it passes over what there is now, and comes seldom.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
