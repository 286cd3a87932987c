"""The one way in which the demo fails."""

from __future__ import annotations


class StepFailed(Exception):
    """A step did not give what it must; the text is a clear sentence for the person watching."""
