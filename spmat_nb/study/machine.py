"""What decides the numbers of a run besides its settings."""

import platform
from pathlib import Path
from typing import Any

from .. import __version__
from ..settings import device, fused


def machine() -> dict[str, Any]:
    """Processor, device, threads and versions, as plain values."""
    import numpy as np
    import torch

    return {
        "processor": processor(),
        "device": str(device()),
        "threads": torch.get_num_threads(),
        "compiled_loops": fused(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "spmat_nb": __version__,
    }


def processor() -> str:
    """The name that Linux gives it, or what Python knows elsewhere."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
