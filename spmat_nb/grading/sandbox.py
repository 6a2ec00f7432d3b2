"""A closed process for the code of one submission, as closed as the system allows; `LEVELS` says how.

| level | network | files | processes |
|---|---|---|---|
| `namespaces` | none (a namespace without any) | a tree of its own: Python, the package, an empty /tmp | own |
| `python` | refused by an audit hook | refused by an audit hook outside of its folder | refused by the hook |

`namespaces` needs Linux with util-linux (`unshare`, `setpriv`) and either root or unprivileged user namespaces. As root
the code runs as nobody; every capability is dropped. Limits on memory, size of files and number of processes, a clean
environment and an empty folder hold on both levels. Time is watched from outside (`session`).
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .. import settings

LEVELS = ("namespaces", "python")
NOBODY = 65534
SCRATCH_MB = 64  # of a submission's own files
SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/ssl", "/etc/fonts")
DEVICES = ("null", "zero", "urandom", "random")
# Builds a tree of read-only bind mounts, then gives up all rights. Arguments: root, MB, ids or -, paths, --, command.
SCRIPT = """
set -e
root=$1; size=$2; user=$3; shift 3
mount -t tmpfs -o "size=${size}m,mode=755,nosuid,nodev" none "$root"
while [ "$1" != -- ]; do
  if [ -L "$1" ]; then mkdir -p "$root${1%/*}"; cp -P "$1" "$root$1"
  elif [ -d "$1" ]; then mkdir -p "$root$1"; mount --bind "$1" "$root$1"
  else mkdir -p "$root${1%/*}"; touch "$root$1"; mount --bind "$1" "$root$1"; fi
  [ -L "$1" ] || mount -o remount,bind,ro,nosuid,nodev "$root$1"
  shift
done
shift
mkdir -p "$root/proc" "$root/dev" "$root/tmp"  # a project under /tmp has made the last one
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
for device in null zero urandom random; do
  touch "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"
done
chmod 1777 "$root/tmp"
become=""
[ "$user" = - ] || become="--reuid $user --regid $user --clear-groups"
exec chroot "$root" setpriv $become --no-new-privs --bounding-set=-all --inh-caps=-all -- env --chdir=/tmp "$@"
"""


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Attributes:
        cell: seconds of one cell (a run cell takes under 30 s on two idle cores).
        call: seconds of one call of a function by a check.
        total: seconds of all its cells and checks.
        restarts: how often its process is started again after it hung or died.
        memory: MB of address space.
        processes: of one user at a time.
    """

    cell: float = 120.0
    call: float = 20.0
    total: float = 600.0
    restarts: int = 5
    memory: int = 4096
    processes: int = 64


@cache
def level() -> str:
    """The best level that works here, tried once."""
    for name in LEVELS[:-1]:
        folder = tempfile.mkdtemp(prefix="grading-")
        try:
            tried = subprocess.run(_closed([sys.executable, "-I", "-c", "print(7)"], Path(folder)), capture_output=True)
            if tried.returncode == 0 and tried.stdout.strip() == b"7":
                return name
        except OSError:  # no unshare here
            pass
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return LEVELS[-1]


def start(folder: Path, closed: Sequence[str], limits: Limits, how: str = "") -> "subprocess.Popen[bytes]":
    """Start the worker of one submission.

    Args:
        folder: empty; its own.
        closed: functions of the package that an assignment asks to write.
        limits: memory and processes are set here.
        how: a level, the best if empty.
    """
    how = how or level()
    options = json.dumps({"closed": list(closed), "guarded": how == "python"})
    python = [sys.executable, "-I", "-m", "spmat_nb.grading.worker", options]
    command = _limited(python, limits)
    return subprocess.Popen(
        _closed(command, folder) if how == "namespaces" else command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,  # the worker closes it; what the start has to say is read from it
        cwd=folder,
        env=_environment("/tmp" if how == "namespaces" else str(folder)),
        start_new_session=True,
    )


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    process.wait()


def _limited(command: list[str], limits: Limits) -> list[str]:
    """The command under limits that hold for all that it starts."""
    if shutil.which("prlimit") is None:
        return command
    sizes = [f"--as={limits.memory << 20}", f"--fsize={SCRATCH_MB << 20}", f"--nproc={limits.processes}", "--core=0"]
    return ["prlimit", *sizes, "--", *command]


def _closed(command: list[str], folder: Path) -> list[str]:
    """The command in namespaces of its own, in a tree that holds Python and the package and nothing else."""
    root = os.geteuid() == 0
    spaces = ["--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
    spaces += [] if root else ["--user", "--map-root-user"]
    user = str(NOBODY) if root else "-"
    tree = [*map(str, _readable()), "--", *command]
    return ["unshare", *spaces, "--", "sh", "-c", SCRIPT, "sh", str(folder), str(SCRATCH_MB), user, *tree]


def _readable() -> list[Path]:
    """What Python and the package need: none of it holds a solution, a hidden test or a grade."""
    here = settings.PACKAGE_ROOT
    own = [Path(sys.base_prefix), Path(sys.prefix), here / "spmat_nb", here / "data"]
    paths = [path for path in [*map(Path, SYSTEM), *own] if path.exists()]
    return [p for n, p in enumerate(paths) if p not in paths[:n] and not any(o in p.parents for o in paths[:n])]


def _environment(home: str) -> dict[str, str]:
    """Nothing of the grader's environment; one thread, and no compiling."""
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
        "SPMAT_FUSED": "0",
        "SPMAT_PRESET": "fast",
        "SPMAT_DEVICE": "cpu",
        "SPMAT_CACHE_DIR": f"{home}/cache",
        "SPMAT_RUNS_DIR": f"{home}/runs",
        "PYTHONHASHSEED": "0",
    }
