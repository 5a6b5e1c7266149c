"""How often a server looks for garbage that only its cyclic collector finds: less often than a script does.

Python looks after every 700 new objects (2,000 from 3.13 on), which one turn of publishing to a thousand topics makes
seven times over, to find nothing: reference counts have freed what was sent. What the app consists of is never garbage.
"""

from __future__ import annotations

import gc

__all__ = ["YOUNG_OBJECTS", "collect_seldom"]

#: New objects, less those freed meanwhile, after which the collector looks at the young ones. Bounds what cycles hold
#: on to: a few megabytes.
YOUNG_OBJECTS = 20_000

_AT_START = gc.get_threshold()  # this is imported before the app


def collect_seldom() -> bool:
    """Look for cycles every `YOUNG_OBJECTS` objects, and never among those that exist now; return whether that is so.

    An app that chose a threshold of its own, or no collector, knows better and keeps it.
    """
    if not gc.isenabled() or gc.get_threshold() != _AT_START:
        return False
    gc.collect()  # what the start left over would be kept for ever
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *_AT_START[1:])
    return True
