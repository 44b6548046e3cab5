"""The section `verify` of a recipe is the domain's: which options it takes, and what it says of those of another domain."""

from pathlib import Path

import pytest

from datakit.errors import RecipeError
from datakit.recipe import Unverified, VerifyCode, VerifyMath, parse

OF_0_1 = {  # as recipe.json has it: every option of every domain, at its default
    "timeout_s": None,
    "memory_mb": None,
    "workers": None,
    "percent": "lenient",
    "units": "lenient",
    "base": "lenient",
    "brackets": "lenient",
    "rounding": "lenient",
    "libraries": [],
    "allow_unsafe": False,
}
SINCE = {"strict": False, "float_tolerance": 1e-6, "static": "fail", "gold_time": None}
SECTIONS = {"math": VerifyMath, "code": VerifyCode, "instruct": Unverified, "one that there is not": Unverified}


def read(domain, verify):
    return parse({"domain": domain, "sources": [{"type": "responses", "path": "p"}], "verify": verify}, "r.yaml", Path())


@pytest.mark.parametrize("domain", SECTIONS)
def test_a_recipe_of_0_1_has_the_options_of_all_domains(domain):
    recipe = read(domain, OF_0_1)
    assert recipe.verify == read(domain, {}).verify == SECTIONS[domain]()
    written = recipe.model_dump(mode="json")
    assert written["verify"] == {name: (OF_0_1 | SINCE)[name] for name in written["verify"]}
    assert parse(written, "recipe.json", Path()).verify == recipe.verify


RENAMED = [
    ({"base": "strict"}, True, "verify.base: an old name, read as verify.strict: true"),
    (
        {"brackets": "strict", "base": "lenient"},
        True,
        "verify.base and verify.brackets: an old name, read as verify.strict: true",
    ),
    ({"brackets": "lenient"}, False, "verify.brackets: an old name, read as verify.strict: false"),
    ({"strict": True}, True, None),
    ({"units": "strict"}, False, None),
]


@pytest.mark.parametrize(("verify", "strict", "said"), RENAMED)
def test_old_names_are_translated_with_a_line(verify, strict, said):
    recipe = read("math", verify)
    assert recipe.verify.strict is strict
    assert [note.partition(";")[0] for note in recipe.notes] == ([said] if said else [])
    again = parse(recipe.model_dump(mode="json"), "recipe.json", Path())
    assert (again.verify, again.notes) == (recipe.verify, [])


REFUSED = [
    ("code", {"base": "strict"}, "verify.strict is for domain math, this recipe's is code (got True)"),
    (
        "math",
        {"base": "strictly"},
        "verify.base: extra field not permitted (got 'strictly'); known here: "
        + "memory_mb, percent, rounding, strict, timeout_s, units, workers",
    ),
    ("math", {"strict": "yes"}, "verify.strict: input should be a valid boolean (got 'yes')"),
    ("math", {"libraries": ["numpy"]}, "verify.libraries is for domain code, this recipe's is math (got ['numpy'])"),
    ("code", {"percent": "strict"}, "verify.percent is for domain math, this recipe's is code (got 'strict')"),
    (
        "instruct",
        {"timeout_s": 3},
        "verify.timeout_s is for domain math and code and mcq and dialogue, this recipe's is instruct (got 3)",
    ),
    ("code", {"librarys": []}, "verify.librarys: extra field not permitted (got []); did you mean 'libraries'?"),
    (
        "code",
        {"domain": "math"},
        "verify.domain: extra field not permitted (got 'math'); known here: allow_unsafe, float_tolerance, gold_time, "
        "libraries, memory_mb, static, timeout_s, workers",
    ),
    (
        "math",
        {"percent": "strictly"},
        "verify.percent: input should be 'lenient' or 'strict' (got 'strictly'); did you mean 'strict'?",
    ),
    ("math", "strict", "verify: input should be a mapping (got 'strict')"),
]


@pytest.mark.parametrize(("domain", "verify", "said"), REFUSED)
def test_an_option_that_is_not_the_domains(domain, verify, said):
    with pytest.raises(RecipeError) as caught:
        read(domain, verify)
    assert str(caught.value) == f"r.yaml: {said}"
