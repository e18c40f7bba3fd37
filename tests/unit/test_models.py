"""Models that are built new, and models lined up with labels by name."""

import copy

import pytest
import torch

from bequest.build.model import Classifier, align
from bequest.build.models._user import UserModel
from bequest.core.errors import RequestError
from bequest.core.find import find, known
from bequest.recipe.check import load

DIGITS = tuple(str(digit) for digit in range(10))


def built(name, shape=(1, 8, 8), kind="image", labels=DIGITS, **fields):
    torch.manual_seed(0)
    return find("models", name)(**fields).build(shape, kind, labels)


def parameters(model):
    return sum(weight.numel() for weight in model.module.parameters())


@pytest.mark.parametrize("name", ["cnn", "mlp", "resnet", "vit"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 20, 12)])
def test_image_models_give_one_logit_per_label(name, shape):
    model = built(name, shape, labels=("a", "b", "c"))
    answer = model.logits(torch.rand(5, *shape))
    assert answer.shape == (5, 3)
    assert model.labels == ("a", "b", "c")


@pytest.mark.parametrize("name", ["cnn", "mlp", "resnet", "vit"])
def test_copies_share_nothing(name):
    model = built(name)
    model.module.eval()
    inputs = torch.rand(2, 1, 8, 8)
    before = model.logits(inputs).detach().clone()
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for weight in twin.module.parameters():
            weight.zero_()
    assert torch.equal(model.logits(inputs), before)
    assert not torch.equal(twin.logits(inputs), before)


def test_weights_come_from_the_global_generator():
    first, second = (built("cnn").module.state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_narrow_cnn_is_more_than_ten_times_smaller():
    assert parameters(built("cnn")) > 10 * parameters(built("cnn", width=3))


@pytest.mark.parametrize("side", [4, 5, 28, 100])
def test_cnn_takes_any_size(side):
    model = built("cnn", (3, side, side + 3), width=2)
    assert model.logits(torch.rand(2, 3, side, side + 3)).shape == (2, 10)


def test_mlp_without_biases_maps_zero_to_zero():
    model = built("mlp", (13,), "features", bias=False, hidden=[7])
    assert torch.equal(model.logits(torch.zeros(1, 13)), torch.zeros(1, 10))
    assert parameters(model) == 13 * 7 + 7 * 10


@pytest.mark.parametrize("name", ["cnn", "resnet", "vit"])
def test_image_models_refuse_features(name):
    with pytest.raises(RequestError, match=r"takes images.*features.*mlp"):
        built(name, (13,), "features")


def test_cnn_refuses_tiny_images():
    with pytest.raises(RequestError, match="at least 4 x 4 pixels, these have 8 x 3"):
        built("cnn", (1, 8, 3))


def test_vit_refuses_patches_that_do_not_fit():
    with pytest.raises(RequestError, match=r"`patch_size` can be 1, 2, 4$"):
        built("vit", (1, 8, 12), patch_size=3)


def test_settings_that_contradict_each_other_are_found_without_building():
    assert "3 heads" in str(find("models", "vit")(heads=3).check()[0])
    assert "depths" in str(find("models", "resnet")(depths=[1]).check()[0])


def fixed(labels):
    return Classifier(torch.nn.Identity(), labels)


def test_align_returns_the_model_itself_for_equal_labels():
    model = fixed(("a", "b"))
    assert align(model, ("a", "b")) is model


def test_align_picks_columns_by_name():
    model = fixed(("cat", "dog", "emu"))
    lined = align(model, ("emu", "cat"))
    assert lined.logits(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [[3.0, 1.0]]
    assert lined.module is model.module
    assert lined.labels == ("emu", "cat")
    back = align(lined, ("cat", "emu"))
    assert back.logits(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [[1.0, 3.0]]


def test_align_lists_what_a_model_does_not_know():
    with pytest.raises(RequestError, match=r"`dogs`; it knows `cat`, `dog`.*new_head.*`dog`\?"):
        align(fixed(("cat", "dog")), ("cat", "dogs"))


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module of the user's own in the working folder; gives its unique name."""
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(
        """
import torch

def sized(labels, shape, width=4):
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(shape[0], width), torch.nn.Linear(width, len(labels))
    )

def named():
    net = torch.nn.Linear(3, 2)
    net.labels = ["no", "yes"]
    return net

class Answer:
    def __init__(self, logits):
        self.logits = logits

class Wrapped(torch.nn.Linear):
    def forward(self, inputs):
        return Answer(super().forward(inputs))

def wrapped():
    return Wrapped(3, 2)

def broken():
    raise ValueError("no such file")

def text():
    return "a model"
"""
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def users(mine, function, labels=("a", "b"), **options):
    return UserModel(path=f"{mine}:{function}", options=options).build((3,), "features", labels)


def test_a_users_function_is_told_labels_and_shape(mine):
    model = users(mine, "sized", width=5)
    assert model.logits(torch.rand(4, 3)).shape == (4, 2)
    assert model.module[1].out_features == 5
    assert model.labels == ("a", "b")


def test_a_users_module_may_name_its_labels(mine):
    assert users(mine, "named").labels == ("no", "yes")


def test_a_users_module_may_answer_with_an_object(mine):
    model = users(mine, "wrapped")
    assert model.module(torch.rand(4, 3)).shape == (4, 2)
    assert model.module.training


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("broken", "failed: ValueError: no such file"),
        ("text", "returned str"),
        ("wrapped", "gives 2 logits for 3 labels"),
        ("size", "did you mean `sized`"),
    ],
)
def test_a_users_mistakes_are_told(mine, function, said):
    with pytest.raises(RequestError, match=said):
        users(mine, function, labels=("a", "b", "c"))


def test_every_model_has_a_summary():
    assert all(entry.summary.endswith(".") for entry in known("models").values())


@pytest.mark.parametrize(
    ("model", "shape", "said"),
    [
        ({"use": "mlp"}, None, "mlp takes features, image, but task `t` gives text"),
        ({"use": "cnn"}, None, "cnn takes image, but task `t` gives text"),
        ({"use": "transformer", "path": "t.csv"}, "features", "text, but task `t` gives features"),
        ({"use": "cnn"}, "features", "cnn takes image, but task `t` gives features"),
        ({"use": "transformer", "path": "t.csv"}, "image", "takes text, but task `t` gives image"),
        ({"use": "cnn"}, "image", ""),
    ],
)
def test_inputs_that_a_model_cant_take_are_known_before_anything_is_loaded(
    tmp_path, monkeypatch, model, shape, said
):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{n},{n},{n},{n},{'xy'[n % 2]}\n" for n in range(20))
    (tmp_path / "t.csv").write_text(f"text,b,c,d,label\n{rows}")
    task = {"use": "csv" if shape else "text", "path": "t.csv"}
    task |= {"shape": [1, 2, 2]} if shape == "image" else {}
    recipe = {"schema": 1, "models": {"student": model}, "tasks": {"t": task},
              "method": {"use": "finetune"}}  # fmt: skip
    if not said:
        assert load(recipe).models["student"]
        return
    with pytest.raises(RequestError, match=said):
        load(recipe)


def test_a_dense_network_is_not_built_for_texts():
    with pytest.raises(RequestError, match="`mlp` takes features or images, but the inputs are te"):
        find("models", "mlp")().build((), "text", ("a", "b"))
