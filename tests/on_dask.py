"""Run a few lines with joblib on a Dask cluster of two processes, in a process of its own."""

import subprocess
import sys
from textwrap import indent

import pytest

FRAME = """
import sys
import joblib
from dask.distributed import Client, LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        with joblib.parallel_config(backend="dask"):
{lines}
        used = client.run(lambda: "{module}" in sys.modules)
    print(sorted(used.values()))
"""


def on_dask(lines, module, folder, *arguments):
    """What the lines print, and then whether each process of the cluster has imported the module, line by line."""
    pytest.importorskip("distributed", reason="dask[distributed] is not installed")
    script = folder / "with_dask.py"
    script.write_text(FRAME.format(lines=indent(lines.strip(), " " * 12), module=module))
    run = subprocess.run([sys.executable, str(script), *map(str, arguments)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()
