"""Generate the wire code from `sonde/v1/relay.proto`, or check that the checked-in code is what it
generates.

Run by `make protos` and, with `--check`, by `make check`, in an environment of its own: the
generator is pinned to the oldest protobuf that we support, and would hold back the project's own
environment.
"""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = "probe_agent/wire/sonde/v1/relay.proto"
MESSAGES = Path("probe_agent/wire/sonde/v1")
SERVER_STUBS = Path("mcp_server/wire/sonde/v1")
# The grpcio stubs live with the server: an agent's process never imports grpc.
SERVER_FILES = ("relay_pb2_grpc.py",)
AGENT_FILES = ("relay_pb2.py", "relay_pb2.pyi", "relay_grpc.py")


def generate(into: Path) -> None:
    """Write all generated files below `into`, laid out as in the repository."""
    into.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "grpc_tools.protoc", "-I", f"probe_agent/wire={ROOT / 'protos'}"),
        *(f"--python_out={into}", f"--mypy_out=quiet:{into}", f"--grpclib_python_out={into}"),
        *(f"--grpc_python_out={into}", PROTO),
    ]
    bin_folder = str(Path(sys.executable).parent)
    subprocess.run(command, check=True, env={"PATH": f"{bin_folder}:/usr/bin:/bin"})
    (into / SERVER_STUBS).mkdir(parents=True, exist_ok=True)
    for name in SERVER_FILES:
        shutil.move(into / MESSAGES / name, into / SERVER_STUBS / name)


def differing(fresh: Path) -> list[Path]:
    """Name the checked-in files that are missing or differ from the fresh ones."""
    names = [MESSAGES / n for n in AGENT_FILES] + [SERVER_STUBS / n for n in SERVER_FILES]
    return [n for n in names if not _same(fresh / n, ROOT / n)]


def _same(a: Path, b: Path) -> bool:
    return b.exists() and filecmp.cmp(a, b, shallow=False)


def main() -> int:
    """Generate in place; with `--check`, compare instead and exit 1 on a difference."""
    if "--check" not in sys.argv[1:]:
        generate(ROOT)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        changed = differing(Path(folder))
    for name in changed:
        sys.stderr.write(
            f"{name} is not what protos/ generates. Run `make protos` and commit it.\n"
        )
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
