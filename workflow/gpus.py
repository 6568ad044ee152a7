"""A GPU for each run: `python -P workflow/gpus.py RUNS_PER_GPU COMMAND ...` becomes COMMAND once a slot is free.

A slot is a locked file on this machine, and CUDA_VISIBLE_DEVICES is set to its GPU. The lock belongs to the
process that COMMAND is: it is gone when that ends, however it ends. Without a GPU, COMMAND just runs.

Run it as a file, outside of any package: it imports nothing but the standard library, before every run.
"""

import fcntl
import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def visible() -> list[str]:
    """The GPUs that may be used: those of CUDA_VISIBLE_DEVICES where it is set, else all that nvidia-smi lists."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        chosen = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
        return [gpu.strip() for gpu in chosen if gpu.strip() not in ("", "-1")]
    try:
        command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return []


def try_lock(path: Path) -> int | None:
    """A file descriptor that holds the lock `path`, or None where another process does. Children may inherit it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def folder() -> Path:
    """Where the locks are. A Slurm job has its own: it sees only its GPUs, and may count them from 0 again.

    All sweeps of a user must meet here, so the name is known to all. Where somebody else has made the folder, or may
    write to it, he could hold every slot for ever: that is a ValueError.
    """
    job = os.environ.get("SLURM_JOB_ID", "all")
    path = Path(tempfile.gettempdir()) / f"tiwlib-gpus-{os.getuid()}-{job}"
    path.mkdir(mode=0o700, exist_ok=True)
    about = path.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o022:
        raise ValueError(
            f"{path}: must be your folder, which nobody else can write to; or set TMPDIR to another"
        )
    return path


def wait_for_slot(gpus: list[str], runs_per_gpu: int) -> tuple[str, int]:
    """The GPU of the first free slot, and the descriptor that holds it: a second run only when all have one."""
    locks = folder()
    while True:
        for slot in range(runs_per_gpu):
            for gpu in gpus:
                held = try_lock(locks / f"{gpu.replace('/', '_')}.{slot}.lock")
                if held is not None:
                    return gpu, held
        time.sleep(0.5)


if __name__ == "__main__":
    if gpus := visible():
        gpu, held = wait_for_slot(gpus, int(sys.argv[1]))
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        os.set_inheritable(held, True)
    os.execvp(sys.argv[2], sys.argv[2:])
