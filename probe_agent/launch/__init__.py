"""`sonde run`: start a Python command with the agent inside and nothing else changed.

Before the program, in the process of `sonde run`: `command` tells the story, `interpreter` finds
out which Python the command will run, `fitness` asks that Python (through `report`) whether the
agent can live in it, `environment` builds what the program inherits. Then the process becomes the
command.

In the program, and in every Python that it starts: `site/sitecustomize.py` is found first on
PYTHONPATH, calls `inside`, takes itself away and lets the program's own `sitecustomize` run. A
Python that cannot carry the agent starts as if nothing were there.

This file imports nothing: every started Python loads it.
"""
