from typing import Any

import torch as torch
import torch.nn.functional as functional

safetensors_torch: Any
transformers: Any
accelerate: Any
datasets: Any
