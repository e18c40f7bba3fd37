"""Looking inside a model without changing what it does."""

from __future__ import annotations

import pytest
from workbench import model, weights

from bequest.core.errors import RequestError
from bequest.lazy import torch
from bequest.transfer.taps import Taps


@pytest.fixture
def inputs():
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(1))


def hooks(module):
    return sum(len(part._forward_hooks) for part in module.modules())


def test_what_a_module_took_and_gave_is_seen(inputs):
    module = model().module
    with Taps(module, ["0", "3", ""]) as seen:
        output = module(inputs)
    assert seen["0"].input is inputs
    assert torch.equal(seen["0"].output, module[0](inputs))
    assert torch.equal(seen["3"].input, module[1](module[0](inputs)))
    assert seen["3"].output is output
    assert seen[""].input is inputs
    assert seen[""].output is output


def test_nothing_changes_and_nothing_stays(inputs):
    module = model().module
    before, plain = weights(module), module(inputs)
    with Taps(module, ["0", "1", "2", "3", ""]):
        assert hooks(module) == 5
        assert torch.equal(module(inputs), plain)
    assert hooks(module) == 0
    assert torch.equal(module(inputs), plain)
    assert weights(module).keys() == before.keys()


def test_hooks_go_when_the_block_fails(inputs):
    module = model().module
    with pytest.raises(KeyError), Taps(module, ["0"]):
        raise KeyError
    assert hooks(module) == 0


def test_what_is_seen_carries_the_graph(inputs):
    module = model().module
    with Taps(module, ["0"]) as seen:
        module(inputs)
    seen["0"].output.sum().backward()
    assert module[0].weight.grad is not None
    assert module[3].weight.grad is None


def test_without_gradients_there_is_no_graph(inputs):
    module = model().module
    with Taps(module, ["0"]) as seen, torch.no_grad():
        module(inputs)
    assert not seen["0"].output.requires_grad


def test_the_last_pass_is_what_counts(inputs):
    module = model().module
    with Taps(module, ["0"]) as seen:
        assert seen["0"].input is None
        module(inputs)
        module(inputs + 1)
    assert torch.equal(seen["0"].input, inputs + 1)


def test_a_wrong_name_lists_the_modules_and_the_close_one():
    module = torch.nn.ModuleDict({"encoder": torch.nn.Linear(2, 2), "head": torch.nn.Linear(2, 2)})
    with pytest.raises(RequestError) as caught:
        Taps(module, ["encoder", "encodr", "haed"])
    first, second = caught.value.problems
    assert (first.meant, second.meant) == ("encoder", "head")
    assert "`encodr`" in first.what
    assert "encoder, head" in first.fix
    assert hooks(module) == 0


def test_modules_called_without_positional_arguments():
    class Named(torch.nn.Module):
        def forward(self, *, x):
            return x + 1

    module = torch.nn.Sequential(Named())
    with Taps(module, ["0"]) as seen:
        module[0](x=torch.ones(2))
    assert seen["0"].input is None
    assert seen["0"].output.tolist() == [2.0, 2.0]
