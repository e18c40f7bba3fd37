"""CAKT: what a student lately did on a concept, beside all that he or she ever did."""

from __future__ import annotations

from itertools import pairwise
from math import expm1, log
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from pydantic import Field

from bequest.build.tracer import KIND, Tracer, histories_only, read_out
from bequest.core.parts import ModelSpec
from bequest.lazy import functional, torch
from bequest.methods.trace._tracing import TraceMethod

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bequest.build.trace_histories import Steps

_CHANNELS = (1, 4, 8, 4, 1)
_FEW_FRAMES = 8
_AT_ONCE = 2048  # steps whose frames go through the convolutions together when none is trained


class Cakt(TraceMethod):
    """Convolution-augmented knowledge tracing: recent answers on a concept, beside overall state.

    The loss is the mean cross-entropy of all answers but each student's first. Unlike the released
    code, which reports the best score that any epoch has on the test students, the epoch is chosen
    on validation students alone; the learning rate stays as it is. The model is `use: cakt`.
    """

    source: ClassVar[str] = (
        "Yang et al. 2020, Deep Knowledge Tracing with Learning Curves, arXiv 2008.01169"
    )
    fit_defaults: ClassVar[Mapping[str, Any]] = {
        "epochs": 30,
        "batch_size": 80,
        "optimizer": {"use": "adam", "lr": 1e-3, "weight_decay": 1e-5, "betas": [0.9, 0.99]},
    }
    network: ClassVar[str] = "cakt"


class CaktNetwork(ModelSpec):
    """Two LSTMs and a 3-D convolution over recent answers on a concept (Yang et al. 2020, CAKT).

    The last `kept` answers on one concept, each a square picture that fades with its distance in
    steps, go through four residual blocks; two gates mix the result with the state of an LSTM over
    everything, and a second LSTM reads the mixture. LSTMs start from zero states; the released
    code draws them at random even when it is tested. Training holds 0.43 MB for each
    answer of a batch at the published size, 0.03 MB with `side: 4`.
    """

    answers: ClassVar[Collection[str]] = frozenset({"trace"})
    takes: ClassVar[Collection[str]] = frozenset({KIND})

    side: int = Field(15, ge=2, le=64, description="Side of a picture; all widths are its square.")
    kept: int = Field(4, ge=2, le=64, description="Recent answers on the concept that are kept.")
    frames: Literal["current", "next"] = Field(
        "current",
        description="Whose recent answers: those on the concept just answered, as in the released "
        "code, or on the one asked next, as in the paper's abstract.",
    )
    decay: Literal["free", "positive"] = Field(
        "free",
        description="Whether the speed of fading may become negative, as in the released code.",
    )

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> CaktTracer:
        """New weights for the concepts `labels`.

        Raises:
            RequestError: the inputs are not histories of answers.
        """
        histories_only("cakt", kind, labels)
        nn, width = torch.nn, self.side**2
        layers = {
            "embedding": nn.Embedding(2 * len(labels), width),
            "front": nn.LSTM(width, width, batch_first=True),
            "blocks": nn.ModuleList(_block(*pair, self.kept) for pair in pairwise(_CHANNELS)),
            "gate_recent": nn.Linear(2 * width, width),
            "gate_overall": nn.Linear(2 * width, width),
            "rear": nn.LSTM(width, width, batch_first=True),
            "out": nn.Linear(width, len(labels)),
            # The scalar is 1 at first, after softplus where it must be positive.
            "decay": nn.ParameterList(
                [torch.tensor(1.0 if self.decay == "free" else log(expm1(1.0)))]
            ),
        }
        nn.init.kaiming_normal_(cast("Any", layers["embedding"]).weight)
        return CaktTracer(nn.ModuleDict(layers), labels, self)


class CaktTracer(Tracer):
    """See `CaktNetwork`."""

    def __init__(self, module: torch.nn.Module, labels: tuple[str, ...], spec: CaktNetwork) -> None:
        super().__init__(module, labels, "cakt")
        self._spec = spec

    def asked(self, steps: Steps) -> torch.Tensor:
        """Log-odds of each predicted step, from the state before it: [predicted]."""
        states = steps.states(self.states(steps))
        return read_out(states, self.layers["out"], steps.concept.flatten()[steps.asked])

    def states(self, steps: Steps) -> torch.Tensor:
        """What the second LSTM says after each step but the last: [batch, steps - 1, width]."""
        layers = self.layers
        embedded = layers["embedding"](steps.codes(len(self.labels)))
        overall, _ = layers["front"](embedded)
        recent = self._spread(self.pooled(self.frames(steps, embedded)), steps, overall)
        both = torch.cat([recent, overall], dim=-1)
        mixed = torch.sigmoid(layers["gate_recent"](both)) * recent
        mixed = mixed + torch.sigmoid(layers["gate_overall"](both)) * overall
        return cast("torch.Tensor", layers["rear"](mixed)[0])

    def frames(self, steps: Steps, embedded: torch.Tensor) -> torch.Tensor:
        """The recent answers at every step that another one follows, newest last.

        embedded: [batch, steps - 1, width]. The result is [told, 1, kept, side, side]; frames
        that are missing are zero and come first. Padding has none, so it enters no statistics.
        """
        spec, told = self._spec, steps.told
        places, now = recent_places(steps, spec.kept, spec.frames)
        places, now = places[told], now.expand(told.shape)[told]
        student = told.nonzero()[:, 0]
        at = (student * told.shape[1])[:, None] + places.clamp(min=0)
        found = functional.embedding(at, embedded.flatten(0, 1))
        gaps = torch.where(places >= 0, now[:, None] - places, 0)
        faded = torch.exp(-self._speed() * gaps) * (places >= 0)
        return (found * faded[..., None]).view(-1, 1, spec.kept, spec.side, spec.side)

    def pooled(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames after all blocks, averaged over time: [told, width]."""
        if torch.is_grad_enabled():
            return self._averaged(frames)
        return torch.cat([self._averaged(few) for few in torch.split(frames, _AT_ONCE)])

    def _averaged(self, frames: torch.Tensor) -> torch.Tensor:
        for block in self.layers["blocks"]:
            frames = _through(block, frames)
        return frames.mean(dim=2).flatten(1)

    def _spread(self, pooled: torch.Tensor, steps: Steps, like: torch.Tensor) -> torch.Tensor:
        """Each told step's features at its place, zero at padding: shaped as `like`."""
        places = steps.told.flatten().nonzero()[:, 0]
        return torch.zeros_like(like).flatten(0, 1).index_copy(0, places, pooled).view_as(like)

    def _speed(self) -> torch.Tensor:
        decay = self.layers["decay"][0]
        return decay if self._spec.decay == "free" else functional.softplus(decay)


def recent_places(
    steps: Steps, kept: int, frames: Literal["current", "next"]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the last answers on a concept stand, newest last, -1 where there are fewer.

    The result is [batch, steps - 1, kept], and the place that distances are counted to,
    [steps - 1]: the step itself, or with `next` the one after it.
    """
    earlier = _same_before(steps.concept)
    now = torch.arange(steps.concept.shape[1] - 1, device=steps.concept.device)
    newest = now.expand(len(earlier), -1)
    if frames == "next":
        now, newest = now + 1, earlier[:, 1:]
    chain = [newest]
    for _ in range(kept - 1):
        last = chain[-1]
        found = earlier.gather(1, last.clamp(min=0))
        chain.append(torch.where(last >= 0, found, -1))
    return torch.stack(chain[::-1], dim=-1), now


def _same_before(concept: torch.Tensor) -> torch.Tensor:
    """For each step the one before on the same concept, -1 where none is: [batch, steps]."""
    ordered, order = concept.sort(dim=1, stable=True)
    same = ordered[:, 1:] == ordered[:, :-1]
    before = torch.full_like(concept, -1)
    return before.scatter(1, order[:, 1:], torch.where(same, order[:, :-1], -1))


def _block(into: int, out: int, kept: int) -> torch.nn.Module:
    nn = torch.nn
    layers: dict[str, torch.nn.Module] = {
        "conv_1": nn.Conv3d(into, out, 3, padding=1, bias=False),
        "norm_1": nn.BatchNorm3d(out),
        "conv_2": nn.Conv3d(out, out, 3, padding=1, bias=False),
        "norm_2": nn.BatchNorm3d(out),
        "squeeze": nn.Linear(kept, kept // 2, bias=False),
        "excite": nn.Linear(kept // 2, kept, bias=False),
    }
    if into != out:
        conv = nn.Conv3d(into, out, 1, bias=False)
        layers["shortcut"] = nn.Sequential(conv, nn.BatchNorm3d(out))
    return nn.ModuleDict(layers)


def _through(block: Any, frames: torch.Tensor) -> torch.Tensor:
    """A residual block that weighs its frames (squeeze and excitation over time)."""
    found = torch.relu(block["norm_1"](_convolved(frames, block["conv_1"].weight)))
    found = block["norm_2"](_convolved(found, block["conv_2"].weight))
    squeezed = torch.relu(block["squeeze"](found.mean(dim=(3, 4))))  # [told, channels, kept // 2]
    found = found * torch.sigmoid(block["excite"](squeezed))[..., None, None]
    rest = block["shortcut"](frames) if "shortcut" in block else frames
    return torch.relu(found + rest)


def _convolved(frames: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """`conv3d` with a padding of 1; weight: [out, channels, 3, 3, 3].

    With few channels a pass back through torch's takes ten times as long as one through a
    convolution over pictures that has a channel for each frame and its band of weights over time.
    """
    count, channels, kept, side, _ = frames.shape
    if kept > _FEW_FRAMES:
        return functional.conv3d(frames, weight, padding=1)
    taps = functional.pad(weight.permute(0, 1, 3, 4, 2), (kept - 2, kept - 2))
    shifts = (taps[..., kept - 1 - frame : 2 * kept - 1 - frame] for frame in range(kept))
    band = torch.stack(list(shifts), dim=1).permute(0, 1, 2, 5, 3, 4)  # [out, kept, in, kept, 3, 3]
    flat = frames.reshape(count, channels * kept, side, side)
    found = functional.conv2d(flat, band.flatten(2, 3).flatten(0, 1), padding=1)
    return found.view(count, len(weight), kept, side, side)
