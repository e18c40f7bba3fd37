from typing import Any

import torch as torch
import torch.nn.functional

functional = torch.nn.functional

safetensors_torch: Any
transformers: Any
accelerate: Any
datasets: Any
