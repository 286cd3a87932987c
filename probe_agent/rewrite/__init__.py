"""Insert probes into code objects, swap them into live functions, and put the originals back.

The only place that imports `bytecode` and that sets `__code__`. Read in this order: `insertion`
(what), `points` (where), `units` and `tables` (code taken apart and put together), `flow`,
`variables`, `block`, `insert` (one code object), `tree` (a code object and what is nested in it),
`census` (who runs it), `versions` (what keeps its calls fast), `running` (frames that began
before), `native` (what those two need of C), `rewriter` (live functions).
"""

from probe_agent.rewrite.insert import instrument
from probe_agent.rewrite.insertion import Insertion, Reach
from probe_agent.rewrite.rewriter import Rewriter
from probe_agent.rewrite.tree import Chain, Placement, TreeRecord, rebuild_tree
from probe_agent.rewrite.units import verify_identity
from probe_agent.rewrite.variables import variables

__all__ = [
    "Chain",
    "Insertion",
    "Placement",
    "Reach",
    "Rewriter",
    "TreeRecord",
    "instrument",
    "rebuild_tree",
    "variables",
    "verify_identity",
]
