"""Recipes as text: what is read, what is refused, and where every message points."""

import pytest

from bequest.core.errors import Position, Problem, RequestError
from bequest.recipe import names
from bequest.recipe.reading import read


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def writer(text, name="r.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return name

    return writer


def refused(source, *overrides):
    with pytest.raises(RequestError) as caught:
        read(source, overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("3.0e-3", 3e-3),
        (".5", 0.5),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("0o17", 15),
        ("0x1F", 31),
        ("017", 17),
        ("-3", -3),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("'1'", "1"),
        ('"true"', "true"),
        ("<", "<"),
        ("[1, a, {b: 2}]", [1, "a", {"b": 2}]),
    ],
)
def test_scalars_follow_the_core_schema(write, text, value):
    read_value = read(write(f"x: {text}\n")).data["x"]
    assert read_value == value
    assert type(read_value) is type(value)


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("", "r.yaml:1:1", "empty"),
        ("- 1\n", "r.yaml:1:1", "must be a mapping"),
        ("a: !!python/object:os.system x\n", "r.yaml:1:4", "tags"),
        ("a: !mine {}\n", "r.yaml:1:4", "tags"),
        ("a: 1\nb: 2\na: 3\n", "r.yaml:3:1", "`a` is there twice, first on line 1"),
        ("a: &x [*x]\n", "r.yaml:1:8", "contains itself"),
        ("a: *x\n", "r.yaml:1:4", "refers to nothing"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "r.yaml:3:3", "merge keys"),
        ("1: a\n", "r.yaml:1:1", "a key must be text"),
        ("? [a]\n: b\n", "r.yaml:1:3", "a key must be text"),
        ("a: 1\n---\nb: 2\n", "r.yaml:2:1", "more than one document"),
        ("a:\n\t b: 1\n", "r.yaml:2:1", "tabs"),
        ("a: b: c\n", "r.yaml:1:5", "not valid YAML"),
        ("a: [1, 2\n", "r.yaml:2:1", "not valid YAML"),
        ("a: .inf\n", "r.yaml:1:4", "not finite"),
        ("a: 1e999\n", "r.yaml:1:4", "not finite"),
        ("a: " + "9" * 5000, "r.yaml:1:4", "too large"),
        ("a: " + "[" * 60, "r.yaml:1:54", "nested deeper than 50"),
        ("a: 1\nb: \x01\n", "r.yaml:2:1", "character"),
        (b"a: 1\nb: \xff\n", "r.yaml:2:4", "not UTF-8"),
        ("# " + "x" * 2**20, "r.yaml", "larger than 1 MiB"),
    ],
)
def test_refuses_what_no_recipe_needs(write, text, place, what):
    message = refused(write(text))
    assert message.startswith(f"{place}: ")
    assert what in message


def test_exploding_aliases_are_refused_before_they_explode(write):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert "aliases included" in refused(write("\n".join(lines)))


def test_deep_nesting_costs_no_stack(write):
    assert "nested deeper" in refused(write("a: " + "[" * 500_000))
    assert "nested deeper" in refused(write("a: " + "{b: " * 200_000))


def test_all_syntax_problems_come_at_once(write):
    message = refused(write("a: !x 1\na: 2\n3: 4\n"))
    assert len(message.splitlines()) == 3


def test_harmless_aliases_work_and_share_no_changes(write):
    name = write("a: &x {b: 1}\nc: *x\n")
    assert read(name, ["c.b=2"]).data == {"a": {"b": 1}, "c": {"b": 2}}


def test_positions_of_values_keys_and_parents(write):
    draft = read(write("models:\n  m: {use: cnn, width: 3}\n"))

    def at(*field, key=False):
        return str(draft.locate(Problem("x", field=field), key=key).at)

    assert at("models", "m", "width") == "r.yaml:2:24"
    assert at("models", "m", "width", key=True) == "r.yaml:2:17"
    assert at("models", "m", "depth") == "r.yaml:2:3"
    assert at("tasks", "t", "use") == "r.yaml:1:1"
    fixed = Problem("x", field=("models",), at=Position("data.csv", 7))
    assert draft.locate(fixed) is fixed


def test_python_mappings_are_recipes_too(tmp_path):
    draft = read({"tasks": {"t": {"path": tmp_path / "x.csv", "columns": ("a", "b")}}})
    assert draft.name == "recipe"
    assert draft.data == {"tasks": {"t": {"path": str(tmp_path / "x.csv"), "columns": ["a", "b"]}}}
    assert str(draft.marks[("tasks", "t")].value) == "recipe"


@pytest.mark.parametrize(
    ("value", "what"),
    [({1: 2}, "a key must be text"), (object(), "type object"), (float("nan"), "not finite")],
)
def test_python_values_that_yaml_could_not_say(value, what):
    assert what in refused({"a": value})


def test_a_mapping_that_holds_itself():
    loop = {}
    loop["a"] = loop
    assert "too deeply nested" in refused(loop)


@pytest.fixture
def built_in(tmp_path, monkeypatch):
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "quickstart.yaml").write_text("schema: 1\ntitle: 'A small reader'\nseeds: [0]\n")
    monkeypatch.setattr(names, "FOLDER", folder)


@pytest.mark.usefixtures("built_in")
class TestBuiltIn:
    def test_names_and_summaries(self):
        assert names.recipe_names() == ("quickstart",)
        assert names.recipe_summary("quickstart") == "A small reader"

    def test_read_by_name(self):
        draft = read("quickstart")
        assert draft.name == "quickstart"
        assert str(draft.marks[("seeds",)].value) == "bequest/recipes/quickstart.yaml:3:8"

    def test_a_run_folder_of_that_name_is_no_recipe(self, write, tmp_path):
        (tmp_path / "quickstart").mkdir()
        assert read("quickstart").name == "quickstart"

    def test_unknown_name(self):
        message = refused("quikstart")
        assert "one of quickstart" in message
        assert "did you mean `quickstart`?" in message

    @pytest.mark.parametrize("name", ["", "\0", "a" * 5000, "../quickstart", "a\nb"])
    def test_odd_names(self, name):
        assert "unknown recipe" in refused(name)

    def test_extend(self, write):
        assert read(write("extend: quickstart\nseeds: [1]\n")).data == {
            "schema": 1,
            "title": "A small reader",
            "seeds": [1],
        }


def test_missing_file(write):
    assert "can't be read: No such file" in refused("nowhere.yaml")
    write("schema: 1\n", "shop.yaml")
    assert "did you mean `shop.yaml`?" in refused("shop.yml")
    assert "did you mean" not in refused("other.yaml")


def test_extend_merges_and_keeps_where_each_value_stands(write, tmp_path):
    (tmp_path / "sub").mkdir()
    write("a: 1\nm: {use: x, p: 1}\nfit: {o: {use: adam, lr: 1}, e: 2}\nl: [1, 2]\n", "base.yaml")
    write("extend: ../base.yaml\nm: {use: y, q: 2}\n", "sub/middle.yaml")
    draft = read(write("extend: sub/middle.yaml\na:\nfit: {o: {lr: 3}}\nl: [3]\n"))
    assert draft.data == {
        "m": {"use": "y", "q": 2},
        "fit": {"o": {"use": "adam", "lr": 3}, "e": 2},
        "l": [3],
    }
    assert str(draft.marks[("fit", "e")].value).endswith("base.yaml:3:33")
    assert str(draft.marks[("fit", "o", "lr")].value) == "r.yaml:3:15"
    assert str(draft.marks[("m", "q")].key).endswith("middle.yaml:2:13")


@pytest.mark.parametrize(("mine", "other"), [("method", "steps"), ("steps", "method")])
def test_a_method_replaces_steps_and_the_reverse(write, mine, other):
    write(f"{other}: {{a: 1}}\n", "base.yaml")
    assert read(write(f"extend: base.yaml\n{mine}: {{b: 2}}\n")).data == {mine: {"b": 2}}


def test_extending_in_a_circle(write):
    write("extend: r.yaml\n", "other.yaml")
    message = refused(write("a: 1\nextend: other.yaml\n"))
    assert "other.yaml:1:9  extend: the recipes extend each other" in message


@pytest.mark.parametrize("value", ["1", "[a]", "nowhere.yaml", '"\\0"', "/"])
def test_extending_nothing(write, value):
    assert refused(write(f"extend: {value}\n")).startswith("r.yaml:1:9")


STEPS = "fit: {epochs: 1}\nsteps: [{name: teach, n: 1}, {name: distil}]\n"


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("fit.epochs=3", ("fit", "epochs"), 3),
        ("fit.optimizer.lr=1e-3", ("fit", "optimizer", "lr"), 1e-3),
        ("seeds=[0,1]", ("seeds",), [0, 1]),
        ("steps[1].fit.epochs=3", ("steps", 1, "fit", "epochs"), 3),
        ("steps.distil.fit.epochs=3", ("steps", 1, "fit", "epochs"), 3),
        ("fit={steps: 2}", ("fit",), {"steps": 2}),
        ("title=a=b", ("title",), "a=b"),
        ("gate=", ("gate",), None),
    ],
)
def test_overrides(write, override, path, value):
    draft = read(write(STEPS), [override])
    found = draft.data
    for part in path:
        found = found[part]
    assert found == value
    assert str(draft.marks[path].value) == f"--set {override}"


def test_overrides_do_not_move_what_they_leave(write):
    draft = read(write(STEPS), ["fit.batch_size=3"])
    assert str(draft.marks[("fit", "epochs")].value) == "r.yaml:1:15"
    assert str(draft.marks[("fit",)].key) == "r.yaml:1:1"


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("epochs", "write `path=value`"),
        ("=3", "not an override"),
        ("a..b=3", "not an override"),
        ("a[x]=3", "not an override"),
        ("\ud800=3", "not an override"),
        ("a=[", "not valid YAML"),
        ("fit.epochs.x=1", "fit.epochs.x: can't be set: this is not a mapping"),
        ("fit[0]=1", "this is not a list"),
        ("steps[2].n=1", "there are 2"),
        ("steps.distill.n=1", "did you mean `distil`?"),
        ("extend=x.yaml", "can't be set"),
        (".".join("a" * 60) + "=1", "more than 50 parts"),
    ],
)
def test_overrides_that_lead_nowhere(write, override, what):
    message = refused(write(STEPS), override)
    assert message.startswith("--set ")
    assert what in message


def test_all_wrong_overrides_come_at_once(write):
    assert len(refused(write(STEPS), "x", "y", "fit.steps=2").splitlines()) == 2
