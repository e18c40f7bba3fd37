"""Any text and any change to a recipe gives a plan or problems; checking costs little."""

import subprocess
import sys
from copy import deepcopy

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recipe_parts import (
    COPY,
    LEARN,
    recipe,
    steps,
)

from bequest.core.errors import RequestError
from bequest.recipe.check import load


def survives(source, *overrides):
    """Either a plan or a RequestError whose every line has a place."""
    try:
        load(source, overrides)
    except RequestError as error:
        assert all(problem.at for problem in error.problems)
        assert str(error)


FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
CHARACTERS = st.text(st.sampled_from(list("ab:- \n\t[]{},&*!|>'\"#%@0.\\e\x00\x85é\ufeff😀")))


@FUZZ
@given(text=st.text() | CHARACTERS)
def test_any_text(tmp_path, text):
    path = tmp_path / "r.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    survives(path)
    survives(recipe(), text, f"fit.epochs={text}", f"{text}=1")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def paths(value, path=()):
    yield path
    if isinstance(value, (dict, list)):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(child, (*path, key))


@FUZZ
@given(data=st.data())
def test_any_change_to_a_good_recipe(data):
    source = deepcopy(data.draw(st.sampled_from([recipe(fit={"epochs": 1}), steps(LEARN, COPY)])))
    for _ in range(data.draw(st.integers(1, 2))):
        places = [path for path in paths(source) if path]
        if not places:
            break
        path = data.draw(st.sampled_from(places))
        spot = source
        for step in path[:-1]:
            spot = spot[step]
        spot[path[-1]] = data.draw(JSON)
    survives(source)


def test_checking_imports_nothing_heavy():
    code = (
        "import sys; from bequest.recipe.check import load\n"
        "try: load({'modles': 1})\n"
        "except Exception as error: assert 'did you mean `models`' in str(error)\n"
        "print([m for m in ('torch', 'numpy', 'transformers', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_cost_neither_yaml_nor_pydantic():
    code = (
        "import sys, bequest.recipe.names; print('yaml' in sys.modules, 'pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
