"""The device and its limits: which one to take, number formats, memory that runs out, a machine that says stop."""

import contextlib
import os
import signal
import sys
import threading
import traceback
from datetime import timedelta

import torch
import torch.distributed
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, find_executable_batch_size
from accelerate.utils.memory import should_reduce_batch_size

PRECISIONS = ("fp32", "bf16")
PATIENCE = timedelta(hours=2)  # of processes that wait for each other: one may prepare the data


def accelerator(device: str = "") -> Accelerator:
    """accelerate's view of this process: its device, its rank among others.

    device: "" takes a CUDA device if there is one, else the CPU; "cpu" leaves an accelerator alone; "cuda" or
    "cuda:1" ask for one, and a ValueError says what there is if it is not. Under torchrun each process has its own.
    """
    kind, _, index = device.partition(":")
    if kind not in ("", "cpu", "cuda") or (index and not index.isdigit()):
        raise ValueError(f"device={device!r}: must be '', 'cpu', 'cuda' or 'cuda:N'")
    there = torch.cuda.device_count()
    if kind == "cuda" and int(index or 0) >= there:
        raise ValueError(
            f"device={device!r}: this machine has {there} CUDA devices; leave it empty for what is there"
        )
    if index:
        torch.cuda.set_device(int(index))
    patience = InitProcessGroupKwargs(timeout=PATIENCE)
    made = Accelerator(cpu=kind == "cpu" or not there, kwargs_handlers=[patience])
    if kind and made.device.type != kind:  # accelerate keeps the first choice of a process
        raise ValueError(f"device={device!r}: this process already works on {made.device}; use a new one")
    # Shapes are fixed, so cuDNN may try its kernels for each once. Which one wins can change from run to run,
    # and with it the last bits: not where torch is asked to be deterministic.
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.backends.cudnn.benchmark = made.device.type == "cuda" and not deterministic
    return made


def named(device: torch.device) -> str:
    """The device for a record: "cpu", or "cuda:0, " and what the GPU is called."""
    return f"{device}, {torch.cuda.get_device_name(device)}" if device.type == "cuda" else str(device)


def autocast(device: torch.device, precision: str):
    """Run matrix products and convolutions in bfloat16 ("bf16") or leave all in float32 ("fp32").

    On a GPU float32 convolutions round their factors to TF32, as is torch's default; products do not. EDM's
    preconditioning, the losses and the weights stay float32: a product of both kinds is float32.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def compile_backbone(network: torch.nn.Module) -> None:
    """Compile what is inside a denoiser or a ratio at its first use; sizes that change compile it again.

    Left to itself the compiler gives up channels last on CUDA for a network that ends in 3 channels, and copies
    between layouts at most convolutions.
    """
    network.backbone.compile(options={"force_layout_optimization": True})


def memory_format(device: torch.device, precision: str) -> torch.memory_format:
    """Channels last where convolutions run on matrix units: on a GPU, and in bfloat16 on a CPU."""
    fast = device.type == "cuda" or precision == "bf16"
    return torch.channels_last if fast else torch.contiguous_format


@contextlib.contextmanager
def naming_what_fits(trial, tried: int, device: torch.device):
    """Turn running out of memory into a MemoryError that names how many samples at a time do fit.

    trial(n): the same work on n samples. tried: how many did not fit.
    """
    try:
        yield
        return
    except RuntimeError as error:
        if not should_reduce_batch_size(error):
            raise
        failed = str(error)
        traceback.clear_frames(error.__traceback__)  # they hold the tensors that filled the memory

    @find_executable_batch_size(starting_batch_size=max(1, tried // 2))
    def fitting(batch_size: int) -> int:
        trial(batch_size)
        return batch_size

    try:
        fits = fitting()
    except RuntimeError:
        raise MemoryError(f"not even one sample fits into the memory of {device}: {failed}") from None
    raise MemoryError(
        f"{tried} samples at once do not fit into the memory of {device}, {fits} do: pass micro_batch={fits}, "
        "which gathers the same batch's gradient in parts"
    )


class Stop:
    """Whether this process was asked to end: SIGTERM, as Slurm sends before it kills a job, or SIGINT, Ctrl-C.

    As a context it listens, and gives the signals back to whom they belonged. Signals reach the main thread alone;
    in any other it hears nothing. In a notebook's kernel the end of its parent, papermill, is such a request too:
    the kernel would end itself within a second, and with it the step that is under way, so it is kept from that
    until the context ends. processes: how many train together, each of which makes a Stop of its own.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self, processes: int = 1):
        self._signalled, self._poller, self._asking = False, None, None
        # Of the hosts: a flag on a GPU could not be read without waiting for the work before it.
        gloo = {"backend": "gloo", "timeout": PATIENCE}
        self._hosts = torch.distributed.new_group(**gloo) if processes > 1 else None

    @property
    def asked(self) -> bool:
        """Cheap enough to be looked at in each step."""
        return self._signalled or (self._poller is not None and os.getppid() != self._parent)

    def agreed(self) -> bool:
        """Whether any process had been asked at its call before, the same answer for all; one process alone: by now.

        All processes call it once a step. A host waits for the other hosts to have come to the step before, and for
        no device.
        """
        if self._hosts is None:
            return self.asked
        answer = False
        if self._asking:
            work, flag = self._asking
            work.wait()
            answer = bool(flag)
        flag = torch.tensor(float(self.asked))
        self._asking = torch.distributed.all_reduce(flag, group=self._hosts, async_op=True), flag
        return answer

    def _note(self, number, _):
        if self._signalled and number == signal.SIGINT:
            raise KeyboardInterrupt  # who asks twice does not want to wait for the step
        self._signalled = True

    def __enter__(self) -> "Stop":
        self._listens = threading.current_thread() is threading.main_thread()
        if self._listens:
            self._before = [signal.signal(number, self._note) for number in self.SIGNALS]
        self._poller, self._parent = _parent_poller(), os.getppid()
        if self._poller:
            self._polled, self._poller.parent_pid = self._poller.parent_pid, _AnyProcess(self._parent)
        return self

    def __exit__(self, *_):
        if self._poller:
            self._poller.parent_pid = self._polled
        if self._listens:
            for number, handler in zip(self.SIGNALS, self._before, strict=True):
                signal.signal(number, handler)


def _parent_poller():
    """The thread by which the kernel of a notebook ends when its parent has ended; None in any other process."""
    kernelapp = sys.modules.get("ipykernel.kernelapp")
    if kernelapp is None or not kernelapp.IPKernelApp.initialized():
        return None
    return getattr(kernelapp.IPKernelApp.instance(), "poller", None)


class _AnyProcess(int):
    """The number of a process that no other differs from: the poller compares its parent's with it."""

    __hash__ = int.__hash__

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False


class Stopped(RuntimeError):
    """Training was told to end and has written its state."""
