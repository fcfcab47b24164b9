"""Several processes that train one network, as ``torchrun`` starts them; alone, all of this does nothing."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed, nn

from lacewing.converter.errors import ConversionError, OptionError

_Module = TypeVar("_Module", bound=nn.Module)
_Made = TypeVar("_Made")

_PATIENCE = timedelta(hours=4)  # while the first process plans; torch would give up after ten minutes on GPUs


@dataclass(frozen=True)
class Workers:
    """This process among the others, and the device that it computes on."""

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def place(self, network: _Module) -> _Module:
        """The network moved to the device, with channels last, as convolutions like them best."""
        # torch documents memory_format, and its types leave it out.
        network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network with gradients averaged over all processes."""
        if self.world == 1:
            return network
        ids = [self.device.index or 0] if self.device.type == "cuda" else None
        # Values that SquareHead does not read leave some scales without a gradient.
        return nn.parallel.DistributedDataParallel(network, device_ids=ids, find_unused_parameters=True)

    def of_first(self, make: Callable[[], _Made]) -> _Made:
        """What ``make`` gives in the first process, for all: others might choose differently, on another processor.

        What ``make`` raises is raised there; in the others as a ConversionError.
        """
        if self.world == 1:
            return make()
        if self.leads:
            try:
                result = make()
            except Exception as error:
                distributed.broadcast_object_list([None, str(error) or type(error).__name__], 0)
                raise
            distributed.broadcast_object_list([result, None], 0)
            return result
        received: list[Any] = [None, None]
        distributed.broadcast_object_list(received, 0)
        if received[1] is not None:
            raise ConversionError(f"the first process failed: {received[1]}")
        found: _Made = received[0]
        return found

    def share(self, network: nn.Module) -> None:
        """Gives every process the parameters and buffers of the first one, in place."""
        if self.world > 1:
            for tensor in (*network.parameters(), *network.buffers()):
                distributed.broadcast(tensor.data, 0)

    def mean(self, total: float, count: float) -> float:
        """total / count, both summed over all processes."""
        if self.world > 1:
            sums = torch.tensor([total, count], dtype=torch.float64, device=self.device)
            distributed.all_reduce(sums)
            total, count = sums.tolist()
        return total / count if count else 0.0

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            distributed.barrier()


def _device(name: str) -> torch.device:
    try:
        found = torch.device(name)
        if found.type not in ("cpu", "cuda"):
            raise OptionError(f"--device {name}: cpu, cuda or cuda:N")
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise OptionError(f"--device {name}: not a device that torch computes on here ({reason})") from error
    return found


def workers(device: str | None = None) -> Workers:
    """This process; one of those that torchrun started (RANK and WORLD_SIZE), a GPU each where there are any.

    Those join at the first call, until they end: torchrun lets them join once. Raises OptionError for a device that is not
    there.
    """
    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if several and name.startswith("cuda"):
        if name != "cuda":
            raise OptionError(f"--device {name}: several processes take a GPU each: --device cuda")
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    chosen = _device(name)
    cuda = chosen.type == "cuda"
    if cuda:
        # The same training twice should give the same file, as far as torch can.
        torch.backends.cudnn.deterministic = True
        torch.cuda.set_device(chosen)
    if not several:
        return Workers(0, 1, chosen)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if cuda else "gloo", timeout=_PATIENCE)
        atexit.register(distributed.destroy_process_group)
    return Workers(distributed.get_rank(), distributed.get_world_size(), chosen)
