"""What happens on the application's thread when a probed line is reached.

In this order: condition, hit limit and rate, capture to plain values, intake. No I/O, no lock, no
formatting, no redaction; `deliver` does the rest in the background. `rewrite` inserts the calls:
`Entry.guard` with the condition's variables, and, only if that returned True, `Entry.hit`. Where
the condition is a quick test, the inserted code asks the guard only now and then.

Nothing of ours escapes: `boundary` tells our own failures from what the application's signal
handlers raise while we run, and only the first are swallowed, and counted.
"""

from probe_agent.hit.entry import Entry
from probe_agent.hit.live import INTAKE_HITS, Intake, LiveProbe, RawHit
from probe_agent.hit.readings import Reading

__all__ = ["INTAKE_HITS", "Entry", "Intake", "LiveProbe", "RawHit", "Reading"]
