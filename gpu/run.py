"""One stage of the work that wants a GPU, on a node with torch and perhaps no internet: bash gpu/run.sh STAGE ...

    check                      versions, the GPU and its rates, whether a notebook runs
    tests                      the tests marked gpu; the classifier's accuracy where CIFAR-10 is packed
    compile-check [NETWORK]    seconds of compiling, graphs, losses beside the plain network's
    speed [NETWORK PRECISION]  benchmarks/speed.py; without arguments all rows that this commit has not measured here
    profile [NETWORK]          images a second plain, compiled and with cuDNN's search; where a step's time goes
    cifar-short METHOD ...     runs workflow/cifar10_short.yaml method=METHOD ...
    runs FILE [NAME=VALUE ...] [-p NAME VALUE ...]
                               the runs of a sweep that have these parameters, with others set by -p
    ratio-size                 benchmarks/ratio_size.py
    all                        these in order of importance; what this commit has done here is not done again
    lacks                      the packages of constraints.txt that gpu/lacking.txt should name for this node

A stage ends within LIMIT seconds (default 540) and leaves what it has made in OUT (default .gpu/out), few files of at
most 15 MiB each. WORK (default ~/.cache/tiwlib-gpu) stays from one stage to the next: the same call goes on where a
call was cut off. SMALL=1 does next to nothing of everything, to try the stages on a CPU.

Standard library only: what is missing here is taken out of .gpu/, where gpu/pack.py has put it.
"""

import contextlib
import json
import lzma
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from importlib import metadata
from pathlib import Path

import pack
from pack import plain

ROOT = Path(__file__).resolve().parents[1]
PACKED = ROOT / ".gpu"
PART = 15 * 2**20  # bytes of a file that is handed over

# What `make gpu` does, in order of importance, and the seconds that each stage may take.
PLAN = (
    (120, "check"),
    (300, "tests"),
    (300, "compile-check"),
    (300, "speed", "paper", "bf16"),
    (300, "profile"),
    (540, "cifar-short", "tiw_dsm"),
    (540, "cifar-short", "dsm_obs"),
    (300, "ratio-size"),
    (540, "cifar-short", "dsm_ref"),
    (540, "cifar-short", "iw_dsm"),
    (540, "speed"),
)
# With SMALL: other images and another network, so that only the way through is tried.
SMALL_RUN = {
    "setting": "digits-lt", "network": "small", "width": 8, "precision": "fp32", "flip": False, "compiled": False,
    "steps": 3, "warmup": 1, "batch_size": 16, "n_samples": 92, "sampling_steps": 3, "ratio_steps": 2,
    "checkpoint_minutes": 0.001,
}  # fmt: skip
SMALL_SPEED = ("--batch", "8", "--repetitions", "1", "--matrix", "64")
SMALL_RATIO = (
    "--setting", "digits-lt-50", "--parameters", "", "--steps", "2", "--batch", "8", "--widths", "8", "16",
    "--evaluations", "2", "--draws", "64",
)  # fmt: skip


# ------------------------------------------------------------- what is missing here
def install(work: Path) -> None:
    """Put the packed wheels into WORK/site, where one of their packages is missing here."""
    wheels, site = PACKED / "wheels", work / "site"
    packed = sorted(wheels.glob("*.whl"))
    missing = {plain(path.name.split("-")[0]) for path in packed} - installed()
    if not missing or _text(wheels / "stamp") == _text(site / "stamp"):
        return
    shutil.rmtree(site, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--no-deps", "--no-compile", "--no-cache-dir", "--target", str(site)]
    subprocess.run([*command, *map(str, packed)], check=True)
    shutil.copy(wheels / "stamp", site)


def installed() -> set[str]:
    """The packages of this Python."""
    return {plain(distribution.metadata["Name"]) for distribution in metadata.distributions()}


def unpack(work: Path, data: Path) -> None:
    """Put the packed images into data/, and what another node of this kind has compiled into WORK/compiled."""
    data.mkdir(exist_ok=True)
    for packed in PACKED.glob("*.zip.xz"):
        target = data / packed.stem
        if not target.exists():
            partial = target.with_name(target.name + ".partial")
            with lzma.open(packed) as source, partial.open("wb") as out:
                shutil.copyfileobj(source, out)
            partial.replace(target)
    for packed in PACKED.glob("*.tar.xz"):
        if not (data / packed.name.removesuffix(".tar.xz")).exists():
            with tarfile.open(packed) as archive:
                archive.extractall(data, **pack.SAFELY)
    parts = sorted(PACKED.glob("compiled.tar.gz.*"))
    if parts and not (work / "compiled").exists():
        whole = work / "compiled.tar.gz"
        whole.write_bytes(b"".join(part.read_bytes() for part in parts))
        with tarfile.open(whole) as archive:
            archive.extractall(work, **pack.SAFELY)
        whole.unlink()


def _text(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def commit() -> str:
    """The commit of this checkout, HASH or HASH-dirty: git's, or where there is no git the one that was packed."""
    try:
        return pack.commit(ROOT)
    except (OSError, subprocess.CalledProcessError):
        return _text(PACKED / "commit") or ""


def lacks() -> int:
    """Print the pinned packages that are not installed here."""
    here = installed()
    names = [line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().split()]
    print("\n".join(name for name in names if plain(name) not in here))
    return 0


# ------------------------------------------------------------- a stage and its time
class Stage:
    """The commands of one stage: they share its time, and what they print is kept in OUT/STAGE.log."""

    def __init__(self, name: str, work: Path, out: Path, limit: float):
        self.name, self.work, self.out = name, work, out
        self.began, self.limit = time.monotonic(), limit

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def run(self, *command) -> int:
        """The exit status of a command; 124 where there was no time for it, or it was told to end."""
        left = self.limit - self.seconds
        words = [str(word) for word in command]
        if left < 1:
            print(f"no time is left for {' '.join(words)[:100]}", flush=True)
            return 124
        with (self.out / f"{self.name}.log").open("a") as log:

            def say(line: str) -> None:
                print(line, end="", flush=True)
                log.write(line)

            say(f"+ {' '.join(words)[:300]}\n")
            process = subprocess.Popen(
                words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
            )
            late = threading.Event()
            timer = threading.Timer(left, lambda: (late.set(), end(process)))
            timer.start()
            for line in process.stdout:
                say(line)
            status = process.wait()
            timer.cancel()
            status = 124 if late.is_set() else status
            say(f"= status {status} after {self.seconds:.0f} s\n")
        return status

    def python(self, *command) -> int:
        return self.run(sys.executable, *command)


def end(process: subprocess.Popen) -> None:
    """Tell a command to end: kernels of notebooks first, so that they save their training, then all, then kill."""
    everyone = [process.pid, *descendants(process.pid)]
    kernels = [pid for pid in everyone if b"ipykernel" in _command(pid)]
    for pids, number, patience in (
        (kernels, signal.SIGTERM, 30),
        (everyone, signal.SIGTERM, 5),
        (everyone, signal.SIGKILL, 5),
    ):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            if pids:
                process.wait(patience)
                return


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have started."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = list(parents.get(pid, []))
    for child in found:
        found += parents.get(child, [])
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


# ------------------------------------------------------------- the stages
def check(stage: Stage, small: bool) -> int:
    return stage.python("gpu/measure.py", "check")


def tests(stage: Stage, small: bool) -> int:
    files = ("tests/paper/test_gpu.py", "tests/images/test_classifier.py")
    return stage.python(
        "-m", "pytest", "-m", "gpu", *files, "-v", "-p", "no:cacheprovider", "--durations", "0"
    )


def compile_check(stage: Stage, small: bool, network: str = "") -> int:
    """What is compiled here can be packed for the next node of this kind; another torch or GPU passes it over."""
    status = stage.python("gpu/measure.py", "compile", network or ("digits" if small else "paper"))
    compiled = stage.work / "compiled"
    if compiled.is_dir():
        whole = stage.work / "compiled.tar.gz"
        with tarfile.open(whole, "w:gz") as archive:  # the graphs' files hold Triton's kernels too
            archive.add(compiled, "compiled", filter=lambda entry: None if "/triton" in entry.name else entry)
        content = whole.read_bytes()
        for i in range(0, len(content), PART):
            (stage.out / f"compiled.tar.gz.{i // PART:02d}").write_bytes(content[i : i + PART])
    return status


def speed(stage: Stage, small: bool, network: str = "", precision: str = "") -> int:
    tables = stage.work / "benchmarks"
    asked = [(network, precision or "bf16")] if network else unmeasured(tables)
    asked = [("digits", "fp32")] if small else asked
    for name, kind in asked:
        command = ("benchmarks/speed.py", "--networks", name, "--precisions", kind, "--out", tables)
        if status := stage.python(*command, *(SMALL_SPEED if small else ())):
            break
    hand_over(tables.glob("*-speed.json"), stage.out)
    return status if asked else 0


def unmeasured(tables: Path) -> list[tuple[str, str]]:
    """The networks and precisions that this commit has not measured here, the most important first."""
    done = set()
    for path in tables.glob("*-speed.json"):
        rows = json.loads(path.read_text())["rows"]
        here = [row for row in rows if (row["commit"] or "").split("-")[0] == commit().split("-")[0]]
        done |= {(row["network"], row["precision"]) for row in here}
    pairs = [(name, kind) for name in ("paper", "mnist", "digits", "celeba") for kind in ("bf16", "fp32")]
    return [pair for pair in pairs if pair not in done]


def ratio_size(stage: Stage, small: bool) -> int:
    tables = stage.work / "benchmarks"
    status = stage.python("benchmarks/ratio_size.py", "--out", tables, *(SMALL_RATIO if small else ()))
    hand_over(tables.glob("*-ratio-size-*.json"), stage.out)
    return status


def profile(stage: Stage, small: bool, network: str = "") -> int:
    network = network or ("digits" if small else "paper")
    return stage.python("gpu/measure.py", "profile", network, stage.out / "profile.txt")


def cifar_short(stage: Stage, small: bool, method: str, *more: str) -> int:
    return runs(stage, small, "workflow/cifar10_short.yaml", f"method={method}", *more)


def runs(stage: Stage, small: bool, file: str, *more: str) -> int:
    changed = [word for item in SMALL_RUN.items() for word in ("-p", *map(str, item))] if small else []
    images = [] if small else [word for path in (ROOT / "data").glob("*.zip") for word in ("--images", path)]
    executed = ("--executed", stage.work / "executed")
    status = stage.python("gpu/in_turn.py", file, *executed, *images, *changed, *more)
    results = stage.work / "results"
    with tarfile.open(stage.out / "results.tar.gz", "w:gz") as archive:
        for metrics in sorted(results.glob("*/*/metrics.json")):  # of runs that have finished
            record = metrics.parent
            archive.add(record, Path("results", record.relative_to(results)), filter=_of_a_record)
    return status


def _of_a_record(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    large = Path(entry.name).name in ("denoiser", "samples.npy", ".lock")
    return None if large or entry.name.endswith(".pdf") else entry


def hand_over(paths, out: Path) -> None:
    for path in paths:
        shutil.copy(path, out)


STAGES = {
    "check": check, "tests": tests, "compile-check": compile_check, "speed": speed, "profile": profile,
    "cifar-short": cifar_short, "runs": runs, "ratio-size": ratio_size,
}  # fmt: skip


def everything(work: Path, plan=PLAN) -> int:
    """Every stage of the plan that has not ended well with this commit; each is a call of its own."""
    state = work / "done.json"
    now = commit()
    done = [entry for entry in json.loads(_text(state) or "[]") if entry[0] == now]
    failed = []
    for limit, *call in plan:
        if [now, *call] in done:
            print(f"{' '.join(call)}: done before", flush=True)
            continue
        environment = {**os.environ, "LIMIT": os.environ.get("LIMIT", str(limit))}
        if subprocess.run([sys.executable, __file__, *call], env=environment).returncode:
            failed.append(" ".join(call))
        else:
            done.append([now, *call])
            state.write_text(json.dumps(done))
    print("all stages ended well" if not failed else f"to do again: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in (*STAGES, "all", "lacks"):
        print(__doc__, file=sys.stderr)
        return 2
    name, *rest = arguments
    work = Path(os.environ.get("WORK") or Path.home() / ".cache" / "tiwlib-gpu").absolute()
    out = Path(os.environ.get("OUT") or PACKED / "out").absolute()
    for folder in (work, out):
        folder.mkdir(parents=True, exist_ok=True)
    if name == "lacks":
        return lacks()
    if name == "all":
        return everything(work)
    limit = float(os.environ.get("LIMIT") or 540)
    stage = Stage(name, work, out, limit)
    install(work)
    unpack(work, ROOT / "data")
    os.environ |= {
        "PYTHONPATH": f"{work / 'site'}{os.pathsep}{ROOT}",
        "PYTHONUNBUFFERED": "1",
        "TQDM_DISABLE": "1",
        "HF_HUB_OFFLINE": "1",
        "TIWLIB_COMMIT": commit(),
        "TIWLIB_RESULTS": str(work / "results"),
        "TIWLIB_CHECKPOINTS": str(work / "checkpoints"),
        "TORCHINDUCTOR_CACHE_DIR": str(work / "compiled"),
        "TRITON_CACHE_DIR": str(work / "compiled" / "triton"),
    }
    for path in (ROOT / "data").glob("cifar10*.zip"):
        os.environ["TIWLIB_CIFAR10"] = str(path)  # for the test of the classifier
    print(f"{name}: set up in {stage.seconds:.0f} s, {limit:.0f} s at most", flush=True)
    return STAGES[name](stage, bool(os.environ.get("SMALL")), *rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
