"""Commands as processes of their own: their seconds, and their peak resident memory.

A process takes over the peak of the one that starts it: what that had in memory when it did counts
as the new one's. So a small process stands between.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_BETWEEN: Final = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=sys.stderr)
_, status, usage = os.wait4(process.pid, 0)
print(json.dumps([time.perf_counter() - start, usage.ru_maxrss * 1024, status]))
"""


def run(command: Sequence[str]) -> tuple[float, int]:
    """Run a command; return its wall seconds and its peak resident set in bytes."""
    between = [sys.executable, "-S", "-c", _BETWEEN, *command]
    done = subprocess.run(between, check=True, stdout=subprocess.PIPE, text=True)
    seconds, peak, status = json.loads(done.stdout)
    if status:
        raise SystemExit(f"{' '.join(command)[:200]} failed with {status}")
    return seconds, peak
