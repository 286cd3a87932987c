"""Start the agent in a Python that `sonde run` started, or that such a program started.

Python's `site` imports this file before the program, because its folder is first on PYTHONPATH. Any
Python may do so: with another version, without Sonde, with a protobuf of long ago. So it must be
valid in Python 2.7 and every 3.x, and silent whatever happens. It holds no function and no
annotation for that reason. Nothing heavy is loaded unless SONDE_SERVICE is set.
"""

import os
import sys

_folder = os.path.dirname(__file__)
sys.path[:] = [_entry for _entry in sys.path if _entry != _folder]
sys.path_importer_cache.pop(_folder, None)

if os.environ.get("SONDE_SERVICE") and sys.version_info >= (3, 11):  # noqa: TID251 - before config
    try:
        from probe_agent.launch.inside import start

        start(frozenset(sys.modules))
    except Exception:  # noqa: BLE001, S110 - a service must start, with the agent or without
        pass

# The program's own sitecustomize takes our place: `site` finds it, or its errors, or that there is
# none, exactly as if this file had never been. The name keeps our module alive, because Python 2
# empties the globals of a module that nobody holds.
_this_module = sys.modules.pop(__name__)
import sitecustomize  # type: ignore[import-not-found] # noqa: E402, F401
