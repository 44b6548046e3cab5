"""Arrays and tables between programs and tests: what crosses and how exactly, and lies that are told with them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datakit.sandbox.inside.confine import landlock_abi
from datakit.sandbox.inside.wire import Encoder, Unsendable, decode
from datakit.sandbox.runner import Limits, Sandbox
from tests.helpers.folders import ROOT
from tests.helpers.hostile import TABLE_CASES, Case

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
if sys.platform != "linux":
    pytest.skip("the sandbox's tiers are of Linux", allow_module_level=True)


def nothing(*odd: object) -> object:
    raise Unsendable(f"{odd}")


def crossed(value: object) -> object:
    return decode(json.loads(json.dumps(Encoder(nothing).encode(value))), nothing)


DAYS = pd.date_range("2024-02-28", periods=3, freq="D", tz="Europe/Paris", name="day")
COLUMNS = {
    "whole": [1, 2, 3],
    "real": [1.5, float("nan"), -0.0],
    "text": ["a", None, "é"],
    "mixed": pd.Series([1, "a", (2, [3])], dtype=object),
    "truth": [True, False, True],
    "small": np.array([1, 2, 3], dtype="int8"),
    "times": pd.to_datetime(["2024-01-01", None, "2024-01-03"]),
    "zoned": DAYS,
    "spans": pd.to_timedelta([1, 2, None], unit="h"),
    "nullable": pd.array([1, None, 3], dtype="Int64"),
    "nullable real": pd.array([1.5, None, 3], dtype="Float64"),
    "nullable truth": pd.array([True, None, False], dtype="boolean"),
    "kinds": pd.Categorical(["b", "a", None], categories=["b", "a", "c"], ordered=True),
    "months": pd.period_range("2024-01", periods=3, freq="M"),
    "ranges": pd.interval_range(0, 3),
    "string": pd.array(["a", None, "b"], dtype="string"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_arrives_as_it_was(name):
    table = pd.DataFrame({name: COLUMNS[name]}, index=["x", "y", "z"])
    arrived = crossed(table)
    assert type(arrived) is pd.DataFrame
    pd.testing.assert_frame_equal(arrived, table, check_freq=True)
    pd.testing.assert_series_equal(crossed(table[name]), table[name])
    pd.testing.assert_index_equal(crossed(pd.Index(COLUMNS[name])), pd.Index(COLUMNS[name]), exact=True)


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame(),
        pd.DataFrame(columns=["a", "b"]),
        pd.DataFrame(index=[1, 2]),
        pd.DataFrame([[1, 2.5], [3, 4.5]], columns=["a", "a"]),
        pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["k", None])),
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_product([["x"], ["p", "q"]])),
        pd.DataFrame({"a": [1, 2, 3]}, index=DAYS),
        pd.DataFrame({0: [1], ("t", 1): [2]}),
        pd.DataFrame({"a": [1, 2, 3]}).iloc[::2],
        pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}).groupby("a").agg({"b": ["sum", "mean"]}),
        pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}).describe(include="all"),
    ],
    ids=range(11),
)  # fmt: skip
def test_a_table_arrives_as_it_was(table):
    arrived: Any = crossed(table)
    pd.testing.assert_frame_equal(arrived, table, check_names=True, check_index_type=True, check_column_type=True)
    assert arrived.columns.names == table.columns.names and list(arrived.index.names) == list(table.index.names)


@pytest.mark.parametrize(
    "value",
    [
        *(pd.Timestamp("2024-02-29 01:02:03.000000004"), pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta("1D 2h")),
        *(pd.Period("2024-01", "M"), pd.Interval(0, 1), pd.NaT, pd.NA, np.float32(1.5), np.int64(3), np.bool_(True)),
        *(np.datetime64("2024-01-01"), np.dtype("float32"), np.str_("a"), np.float64("nan"), pd.Int64Dtype()),
    ],
    ids=repr,
)  # fmt: skip
def test_a_scalar_arrives_as_it_was(value):
    arrived = crossed(value)
    assert type(arrived) is type(value) and repr(arrived) == repr(value)


@pytest.mark.parametrize(
    "array",
    [
        *(np.arange(6).reshape(2, 3), np.zeros((0, 3)), np.array(5), np.array(["a", "bc"]), np.array([b"a"]), np.array([1j])),
        *(np.array([1, None, "a", [2]], dtype=object), np.arange(6).reshape(2, 3).T, np.array([1, 2], dtype=">i2")),
    ],
    ids=range(9),
)  # fmt: skip
def test_an_array_arrives_as_it_was(array):
    arrived: Any = crossed(array)
    assert type(arrived) is np.ndarray and arrived.dtype == array.dtype and arrived.shape == array.shape
    assert arrived.tolist() == array.tolist()


class Table(pd.DataFrame):  # type: ignore[misc, name-defined]
    pass


@pytest.mark.parametrize(
    "value",
    [
        Table({"a": [1]}),
        pd.DataFrame({"a": [object()]}),
        np.array([object()]),
        pd.Series([print]),
        np.array([1]).view(np.matrix),
    ],
    ids=range(5),
)
def test_what_is_no_table_of_plain_values_stays_where_it_is(value):
    with pytest.raises(Unsendable):
        crossed(value)


@pytest.fixture(scope="module")
def sandbox():
    if not landlock_abi() and shutil.which("bwrap") is None:
        pytest.skip("nothing on this machine can confine a program")
    with Sandbox(("numpy", "pandas"), Limits(timeout_s=10, memory_mb=2048)) as sandbox:
        yield sandbox


@pytest.mark.parametrize("case", TABLE_CASES, ids=lambda case: case.name)
def test_lies_with_tables(sandbox, case: Case):
    done = sandbox.check(case.program, case.tests, case.style, case.entry_point)
    assert done.outcome in case.outcomes, done.detail
    assert "top level" not in done.detail, done.detail


TASKS = [
    # program, tests, outcome
    ("def f(t): return t.groupby('a').sum()", "t = pd.DataFrame({'a': ['x', 'y', 'x'], 'b': [1, 2, 3]})\n"
     "pd.testing.assert_frame_equal(f(t), pd.DataFrame({'b': [4, 2]}, index=pd.Index(['x', 'y'], name='a')))", "passed"),
    ("def f(t): return t.groupby('a').max()", "t = pd.DataFrame({'a': ['x', 'y', 'x'], 'b': [1, 2, 3]})\n"
     "pd.testing.assert_frame_equal(f(t), pd.DataFrame({'b': [4, 2]}, index=pd.Index(['x', 'y'], name='a')))", "failed"),
    ("def f(t): t['c'] = t.b * 2", "t = pd.DataFrame({'b': [1, 2]})\nf(t)\nassert list(t.c) == [2, 4]", "passed"),
    ("def f(t): t = t.assign(c=1)", "t = pd.DataFrame({'b': [1, 2]})\nf(t)\nassert list(t.columns) == ['b', 'c']", "failed"),
    ("def f(s): return s.value_counts()", "s = pd.Series(list('aab'))\n"
     "pd.testing.assert_series_equal(f(s), s.value_counts())", "passed"),
    ("def f(a): a[0] = 9", "a = np.zeros(2)\nf(a)\nassert a.tolist() == [9, 0]", "passed"),
    ("def f(a): return a.astype('float32')", "assert f(np.ones(2)).dtype == np.float32", "passed"),
    ("def f(a, kind): return a.astype(kind)", "assert f(np.ones(2), np.int8).dtype == np.int8", "passed"),
    ("def f(n): return np.random.rand(n)", "np.random.seed(0)\nassert np.allclose(f(1), 0.5488135)\n"
     "assert np.allclose(f(1), 0.71518937)", "passed"),
    ("def f(t): return t", "f(pd.DataFrame({'a': [object()]}))", "unverifiable"),
    ("def f(n): return pd.array([n])", "assert f(2) == 2 and f(2) < 3 and not f(3) == 2 and f(2) and len(f(2)) == 1", "passed"),
    ("def f(n): return pd.array([n, 1])", "assert (f(2) == [2, 1]).all() and f(2)[0] == 2 and f(2)", "passed"),
    ("def f(n): return pd.array([n], dtype='string')",
     "pd.testing.assert_extension_array_equal(f('a'), pd.array(['a'], dtype='string'))", "passed"),
]  # fmt: skip


@pytest.mark.parametrize(("program", "tests", "outcome"), TASKS, ids=range(len(TASKS)))
def test_tasks_over_tables(sandbox, program, tests, outcome):
    both = "import numpy as np\nimport pandas as pd\n"
    done = sandbox.check(f"{both}{program}\n", f"{both}{tests}\n", "asserts", "f")
    assert done.outcome == outcome, done.detail


IMAGES = """
import json, sys
sys.path.insert(0, sys.argv[1])
from datakit.sandbox.runner import Limits, Sandbox
PROGRAM = '''
import numpy as np
import skimage.filters, skimage.io, skimage.transform, scipy.ndimage
from scipy import stats
import pandas as pd
def smooth(image): return skimage.filters.gaussian(image, sigma=1)
def half(image): return skimage.transform.resize(image, (2, 2))
def saved(image):
    skimage.io.imsave("x.png", image, check_contrast=False)
    return skimage.io.imread("x.png")
def best(table): return table.apply(stats.zscore)
def spots(image): return scipy.ndimage.label(image)[1]
def other(): import matplotlib
def listed():
    import os
    return os.path.exists(os.path.join(os.path.dirname(os.path.dirname(np.__file__)), "pip")) and open(
        os.path.join(os.path.dirname(os.path.dirname(np.__file__)), "pip", "__init__.py")).read()
'''
TESTS = {
    "smooth": "assert f(np.ones((4, 4))).shape == (4, 4)",
    "half": "assert np.allclose(f(np.ones((4, 4))), np.ones((2, 2)))",
    "saved": "assert f(np.full((2, 2), 7, dtype=np.uint8)).tolist() == [[7, 7], [7, 7]]",
    "best": "assert abs(f(pd.DataFrame({'a': [1.0, 2.0, 3.0]})).a.sum()) < 1e-9",
    "spots": "assert f(np.eye(3)) == 3",
    "other": "assert f() is None",
    "listed": "assert f() == 4",
}
with Sandbox(("skimage", "scipy", "pandas", "numpy"), Limits(timeout_s=60, memory_mb=3000)) as sandbox:
    both = "import numpy as np\\nimport pandas as pd\\n"
    done = {name: sandbox.check(PROGRAM + f"f = {name}\\n", both + tests, "asserts") for name, tests in TESTS.items()}
print(json.dumps({name: [one.outcome, one.detail] for name, one in done.items()}))
"""


@pytest.mark.slow
def test_a_library_brings_what_it_requires(tmp_path):
    """scikit-image with its pillow, lazy_loader, imageio, tifffile, networkx; nothing else of its environment."""
    environment = Path(os.environ.get("DATAKIT_TEST_IMAGES", tmp_path / "images"))
    python = environment / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        wanted = ["numpy", "pandas", "scipy", "scikit-image"]
        installed = subprocess.run([str(python), "-m", "pip", "install", "-q", *wanted], capture_output=True, text=True)
        if installed.returncode:
            pytest.skip(f"no package index: {installed.stderr[-200:]}")
    done = subprocess.run([str(python), "-c", IMAGES, str(ROOT)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    outcomes = {name: outcome for name, (outcome, _) in told.items()}
    right = dict.fromkeys(("smooth", "half", "saved", "best", "spots"), "passed")
    assert outcomes == {**right, "other": "unverifiable", "listed": "failed"}, told
    assert "needs the library matplotlib, which is not in verify.libraries" in told["other"][1]
    assert "Permission denied" in told["listed"][1]
