"""All safety rules that `make teeth` switches off, one at a time."""

from __future__ import annotations

from teeth.deciding import BOUNDARY, QUICK_TESTS
from teeth.places import PLACES
from teeth.reading import ATTRIBUTES, ITEMS, KINDS, OPERATIONS, READERS
from teeth.rewriting import BLOCK, LIVE, PROOF, VERSIONS

RULES = (
    *(*PLACES, *BLOCK, *PROOF, *LIVE, *VERSIONS),
    *(*QUICK_TESTS, *BOUNDARY),
    *(*OPERATIONS, *ATTRIBUTES, *ITEMS, *KINDS, *READERS),
)
