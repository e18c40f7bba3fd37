from typing import Any

import numpy as numpy
import torch as torch
import torch.nn.functional

functional = torch.nn.functional

safetensors_torch: Any
transformers: Any
accelerate: Any
datasets: Any
peft: Any
