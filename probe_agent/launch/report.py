"""Print what this interpreter is and has, as one Python literal on standard output.

`fitness` runs this file as a script, under the command's own Python and with -S: any version must
be able to read it. It imports as little as it can, because a person waits: `importlib.metadata`
alone would more than double its 20 ms. The literal:

    {"implementation": "cpython", "version": (3, 11, 7), "has_gil": True,
     "found": {"google.protobuf": ["7.36.2"], "pip": [], "grpclib": None}}

`found` has the versions of each module's distribution, as the names of the *.dist-info folders
beside it tell them: several where an upgrade left the old one behind, none where nothing tells,
None where there is no such module.
"""

# Python 2 has no annotations.
# mypy: allow-untyped-defs, allow-untyped-calls

import os
import sys


def find(module, distribution):
    """Look up a module as the program would. Returns: its versions, None if it is not there."""
    import importlib.util  # noqa: PLC0415 - not in every Python

    try:
        spec = importlib.util.find_spec(module)
    except ImportError:  # its parent is missing
        return None
    if spec is None:
        return None
    folder = spec.origin or ""  # of google/protobuf/__init__.py, the folder that holds google
    for _ in range(module.count(".") + 2):
        folder = os.path.dirname(folder)
    return versions_in(folder, distribution)


def versions_in(folder, distribution):
    """Read versions from names such as `grpclib-0.4.9.dist-info`."""
    versions = []
    for entry in os.listdir(folder) if os.path.isdir(folder) else ():
        name, _, rest = entry.partition("-")
        if name.lower() == distribution and entry.endswith((".dist-info", ".egg-info")):
            versions.append(rest.rpartition(".")[0].partition("-")[0])
    return versions


def set_up_import_path():
    """Do what `site` does at start, without the program's own start-up modules: they run once."""
    import site  # noqa: PLC0415 - its import does things in Python 2

    site.execsitecustomize = site.execusercustomize = lambda: None
    site.main()


def report(wanted):
    """Collect the literal that the module's docstring describes."""
    implementation = getattr(sys, "implementation", None)
    found = {}
    if sys.version_info >= (3, 11):  # noqa: UP036 - any version runs this file
        set_up_import_path()
        found = {module: find(module, distribution) for module, distribution in wanted}
    return {
        "implementation": implementation.name if implementation else "Python",
        "version": tuple(sys.version_info[:3]),
        "has_gil": "t" not in getattr(sys, "abiflags", ""),
        "found": found,
    }


if __name__ == "__main__":
    if sys.path and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]  # the program will not have this file's folder
    sys.stdout.write(repr(report([word.split("=") for word in sys.argv[1:]])) + "\n")
