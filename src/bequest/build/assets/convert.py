"""A language model in a GGUF file as a folder that transformers reads quickly.

Reading the GGUF file takes half a minute every time, the folder two seconds. Weights are kept in
bfloat16, in which such models are published; rounding to it moves the loss of SmolLM2 by 0.0003
nats per token, a small part of what 4-bit quantisation did before.
"""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from typing import TYPE_CHECKING

from bequest.build.vision import quiet
from bequest.core.errors import Problem, RequestError
from bequest.lazy import safetensors_torch, torch, transformers

if TYPE_CHECKING:
    from pathlib import Path


def from_gguf(folder: Path, name: str) -> None:
    """Write config.json, model.safetensors and the tokenizer's files beside the file `name`.

    Raises:
        RequestError: the file can't be read, or the others can't be written.
    """
    try:
        # The bar of transformers' GGUF reader can't be turned off.
        with quiet(), redirect_stderr(io.StringIO()):
            _convert(folder, name)
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        what = f"{name} can't be converted: {type(error).__name__}: {first}"
        fix = "see that there is room on the disk and that transformers and gguf fit each other"
        raise RequestError(Problem(what, fix)) from error


def _convert(folder: Path, name: str) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        folder, gguf_file=name, local_files_only=True, trust_remote_code=False
    )
    net = transformers.AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, local_files_only=True, trust_remote_code=False,
        dtype=torch.bfloat16,
    )  # fmt: skip
    # transformers refuses to save what was quantised, though what it holds is not quantised.
    weights = {name: weight.detach() for name, weight in net.named_parameters()}
    safetensors_torch.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = net.config
    del config.quantization_config
    config.architectures = [type(net).__name__]
    config.save_pretrained(folder)
    net.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
