"""The processes that work on one run: one alone, or several that a launcher started.

Several run the same program side by side on models with the same weights. They share the batches of
fits; whatever else is work of the first, which alone writes, and the others read what it wrote.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bequest.core.errors import Problem, RequestError, RunError
from bequest.lazy import accelerate, torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

# The end of another process is noticed at once; this is for one that is there and never answers,
# and the others may have to wait while the first scores a large model.
LONGEST_WAIT = timedelta(hours=6)
_BUCKET = 25 << 20  # bytes sent at once: many small messages are slow, one large one needs memory
_SPLIT_MODELS = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_MEGATRON_LM")


class Processes:
    """One process alone: it is the first, and there is nobody to wait for.

    rank: number of this process, from 0; count: how many there are; device: what the launcher gave
    this one, or None where that is the user's choice.
    """

    rank = 0
    count = 1
    device: torch.device | None = None

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Run the block in the first process, then in the others."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

    def wait(self) -> None:
        """Wait until every process is here."""

    def sum(self, tensors: Sequence[torch.Tensor]) -> None:
        """Put the sum over all processes into each tensor."""

    def share(self, tensors: Sequence[torch.Tensor]) -> None:
        """Put what the first process has into each tensor."""

    def told(self, text: str) -> str:
        """The text of the first process."""
        return text


ALONE = Processes()


class Several(Processes):
    """One of several processes, each with a device of its own.

    Whatever they do together raises a RunError when one of the others has ended.
    """

    device: torch.device

    def __init__(self, rank: int, count: int, device: torch.device) -> None:
        self.rank, self.count, self.device = rank, count, device

    def wait(self) -> None:
        """Wait until every process is here."""
        with _others_alive():
            torch.distributed.barrier()

    def sum(self, tensors: Sequence[torch.Tensor]) -> None:
        """Put the sum over all processes into each tensor."""
        self._together(tensors, torch.distributed.all_reduce)

    def share(self, tensors: Sequence[torch.Tensor]) -> None:
        """Put what the first process has into each tensor."""
        self._together(tensors, lambda flat: torch.distributed.broadcast(flat, 0))

    def told(self, text: str) -> str:
        """The text of the first process."""
        letters = torch.tensor(list(text.encode()), dtype=torch.uint8)
        size = torch.tensor(len(letters))
        self.share([size])
        if not self.first:
            letters = torch.zeros(int(size), dtype=torch.uint8)
        self.share([letters])
        return bytes(letters.tolist()).decode()

    def _together(
        self, tensors: Sequence[torch.Tensor], work: Callable[[torch.Tensor], Any]
    ) -> None:
        with torch.no_grad(), _others_alive():
            for bucket in _buckets(tensors):
                flat = torch.cat([tensor.reshape(-1) for tensor in bucket]).to(self.device)
                work(flat)
                parts = torch.split(flat, [tensor.numel() for tensor in bucket])
                for tensor, part in zip(bucket, parts, strict=True):
                    tensor.copy_(part.view_as(tensor))


def launched(device: str) -> Processes:
    """The processes that the launcher of this one has started, ready to work together.

    device: as for `--device`; where it is not "cpu" each process takes an accelerator of its own.

    Raises:
        RequestError: the launcher wants a model split over processes, or one device for all.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return ALONE
    if any(os.environ.get(name, "").lower() == "true" for name in _SPLIT_MODELS):
        what = "the launcher splits models over processes, and every fit here needs whole gradients"
        fix = "launch with --multi_gpu, where each process holds the whole model (docs/scale.md)"
        raise RequestError(Problem(what, fix))
    if ":" in device:
        what = f"several processes can't share the device `{device}`"
        raise RequestError(Problem(what, "leave --device out, or use --device cpu"))
    cpu = device == "cpu" or not torch.accelerator.is_available()
    state = accelerate.PartialState(cpu=cpu, timeout=LONGEST_WAIT)
    return Several(state.process_index, state.num_processes, torch.device(state.device))


def speaks() -> bool:
    """Whether this process is the one that prints; known before any of them works."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def _others_alive() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        noticed = re.sub(r"\[[^]]*\] *", "", str(error)).partition(". ")[0].partition("\n")[0]
        raise RunError(
            f"another process of this run has ended or does not answer ({noticed}); its own "
            "message says why; go on with --resume"
        ) from error


def _buckets(tensors: Iterable[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """The tensors in groups of one type, none much larger than a bucket."""
    waiting: dict[torch.dtype, list[torch.Tensor]] = {}
    sizes: Counter[torch.dtype] = Counter()
    for tensor in tensors:
        kind = tensor.dtype
        waiting.setdefault(kind, []).append(tensor)
        sizes[kind] += tensor.nbytes
        if sizes[kind] >= _BUCKET:
            del sizes[kind]
            yield waiting.pop(kind)
    yield from waiting.values()
