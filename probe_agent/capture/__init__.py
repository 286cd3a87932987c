"""Copy what one hit needs: values, call stack, thread and task, within bounds.

Called by `hit` on the application's thread. Runs no code of the application's, takes no lock, and
keeps no reference to what it copied from.
"""

from probe_agent.capture.limits import CaptureLimits
from probe_agent.capture.surroundings import stack_of, task_name, thread_name
from probe_agent.capture.values import make_capture, make_capture_all

__all__ = [
    "CaptureLimits",
    "make_capture",
    "make_capture_all",
    "stack_of",
    "task_name",
    "thread_name",
]
