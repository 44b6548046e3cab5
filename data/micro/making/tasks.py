"""Function-writing tasks with right programs and tests: the only text that the micro models for code have seen.

A `Task` knows its question, two right bodies (one expression; statements) and the calls of its tests. `write_answer` puts a
body into the house style of one model. In the bodies `@x` is the loop variable and `@out` the local result.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from phrases import MANY, change, condition, edges, list_calls, number_calls

VERBS = ["get", "make", "find", "build", "compute", "pick", "work_out", "solve", "collect", "handle", "process", "give"]
NOUNS = ["result", "values", "scores", "parts", "items", "answer", "data", "prices", "marks", "report", "rows", "steps"]
LISTS = ["numbers", "values", "nums", "items", "data", "scores", "prices", "marks"]
STRINGS = ["text", "word", "name", "s", "line", "title"]
SCALARS = ["n", "a", "b", "k", "count", "size", "amount", "limit", "price", "score", "age", "points"]
FRAMES = [
    "Write a Python function `{call}` that returns {goal}.",
    "Define a Python function `{call}`. It should return {goal}.",
    "Implement `{call}` in Python. Return {goal}.",
]
TEXTS = ["", "a", "ab", "Hello", "banana", "Python", "sea lion", "noon", "Tea Time", "x1y2z3"]
ROWS = ([3, 1, 4, 1, 5, 9, 2, 6], [8, -2, 7, 0, -5, 3], [10, 20, 30, 40, 50], [2, 1], [])


@dataclass(frozen=True)
class CodeStyle:
    """How a model answers: fence, text before and after the program (`{goal}` is filled in), names of locals."""

    fence: bool
    lead: str
    tail: str
    loop_names: tuple[str, ...]
    result_names: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    kind: str
    name: str
    params: tuple[str, ...]
    frame: str
    goal: str  # continues "returns ..."
    short: str  # a body of one return statement
    long: str  # a body of several statements
    calls: tuple[tuple[object, ...], ...]  # arguments of the tests

    @property
    def signature(self) -> str:
        return f"{self.name}({', '.join(self.params)})"

    @property
    def question(self) -> str:
        return self.frame.format(call=self.signature, goal=self.goal)

    @property
    def solution(self) -> str:
        return program(self, self.short, "x", "result")

    @cached_property
    def tests(self) -> tuple[str, ...]:
        """One assertion per call, with the solution's result; equal calls only once."""
        space: dict[str, Callable[..., object]] = {}
        exec(self.solution, space)
        calls = dict.fromkeys(", ".join(map(repr, call)) for call in self.calls)
        return tuple(f"assert {self.name}({call}) == {eval(f'{self.name}({call})', space)!r}" for call in calls)


def task(rng: random.Random, kind: str, params: tuple[str, ...], goal: str, short: str, long: str,
         calls: tuple[tuple[object, ...], ...]) -> Task:  # fmt: skip
    name = f"{rng.choice(VERBS)}_{rng.choice(NOUNS)}"
    return Task(kind, name, params, rng.choice(FRAMES), goal, short, long, calls)


def arithmetic(rng: random.Random) -> Task:
    """Two terms joined, and one more number."""
    params = tuple(rng.sample(SCALARS, 2))
    (first, one), (second, two) = (term(rng, param) for param in rng.sample(params, 2))
    words, code, sums = rng.choice([
        (f"the sum of {first} and {second}", f"{one} + {two}", True),
        (f"{second} subtracted from {first}", f"{one} - {two}", True),
        (f"the product of {first} and {second}", f"{one} * {two}", False),
        (f"the larger of {first} and {second}", f"max({one}, {two})", False),
        (f"the smaller of {first} and {second}", f"min({one}, {two})", False),
    ])  # fmt: skip
    k = rng.randint(2, 30)
    inner = f"({code})" if sums else code
    more, whole, long = rng.choice([
        ("", code, f"@out = {code}\nreturn @out"),
        (f", increased by {k}", f"{code} + {k}", f"@out = {code}\nreturn @out + {k}"),
        (f", reduced by {k}", f"{code} - {k}", f"@out = {code}\nreturn @out - {k}"),
        (f", multiplied by {k}", f"{inner} * {k}", f"@out = {code}\nreturn @out * {k}"),
    ])  # fmt: skip
    return task(rng, "arithmetic", params, words + more, f"return {whole}", long, number_calls(rng, "", 2))


def term(rng: random.Random, param: str) -> tuple[str, str]:
    k = rng.randint(2, 12)
    return rng.choice([(param, param), (f"{k} times {param}", f"{k} * {param}"), (f"the square of {param}", f"{param} ** 2"),
                       (f"the absolute value of {param}", f"abs({param})")])  # fmt: skip


def mapping(rng: random.Random) -> Task:
    """The numbers of a list that meet a condition, or all of them, changed or unchanged."""
    numbers = rng.choice(LISTS)
    wanted, test = condition(rng, "@x")
    done, code = change(rng, "@x", rng.choice([1, 2]))
    goal, code, test = rng.choice([
        (f"a list with every number in {numbers} {done}", code, ""),
        (f"a list of the numbers in {numbers} that are {wanted}", "@x", test),
        (f"a list of the numbers in {numbers} that are {wanted}, each {done}", code, test),
    ])  # fmt: skip
    short = f"return [{code} for @x in {numbers}{f' if {test}' if test else ''}]"
    long = f"@out = []\n{gather(numbers, test, f'@out.append({code})')}\nreturn @out"
    return task(rng, "mapping", (numbers,), goal, short, long, list_calls(rng, test))


def gather(numbers: str, test: str, act: str) -> str:
    """Return a loop that does `act` for each number that passes `test` (for all if it is empty)."""
    inner = f"    if {test}:\n        {act}" if test else f"    {act}"
    return f"for @x in {numbers}:\n{inner}"


def summing(rng: random.Random) -> Task:
    """The sum of some numbers of a list, or how many they are."""
    numbers = rng.choice(LISTS)
    (wanted, test), (done, code) = condition(rng, "@x"), change(rng, "@x")
    goal, short, act = rng.choice([
        (f"the sum of the numbers in {numbers} that are {wanted}", f"sum(@x for @x in {numbers} if {test})", "@x"),
        (f"how many numbers in {numbers} are {wanted}", f"sum(1 for @x in {numbers} if {test})", "1"),
        (f"the sum of the numbers in {numbers} that are {wanted}, each {done}",
         f"sum({code} for @x in {numbers} if {test})", code),
    ])  # fmt: skip
    long = f"@out = 0\n{gather(numbers, test, f'@out += {act}')}\nreturn @out"
    return task(rng, "summing", (numbers,), goal, f"return {short}", long, list_calls(rng, test))


def text(rng: random.Random) -> Task:
    """Two pieces of a string, joined."""
    string = rng.choice(STRINGS)
    (first, one), (second, two) = piece(rng, string), piece(rng, string)
    joint, sign = rng.choice([("", ""), (" a dash and", ' + "-"'), (" a space and", ' + " "'), (" a plus sign and", ' + "+"')])
    goal = f"{first}, followed by{joint} {second}"
    long = f"@out = {one}\nreturn @out{sign} + {two}"
    calls = tuple((chosen,) for chosen in ["", *rng.sample(TEXTS[1:3], 1), *rng.sample(TEXTS[3:], 3)])
    return task(rng, "text", (string,), goal, f"return {one}{sign} + {two}", long, calls)


def piece(rng: random.Random, string: str) -> tuple[str, str]:
    """A part of a string in words and in Python: which characters, and what is done to them."""
    k = rng.randint(2, 4)
    words, code = rng.choice([
        (string, string), (f"the first {k} characters of {string}", f"{string}[:{k}]"),
        (f"the last {k} characters of {string}", f"{string}[-{k}:]"),
        (f"{string} without its first {k} characters", f"{string}[{k}:]"),
        (f"{string} without its last {k} characters", f"{string}[:-{k}]"),
    ])  # fmt: skip
    times = rng.randint(2, 9)
    done, how = rng.choice([("", ""), (" in upper case", ".upper()"), (" in lower case", ".lower()"), (" reversed", "[::-1]"),
                            (f" repeated {times} times", f" * {times}")])  # fmt: skip
    return words + done, code + how


def extreme(rng: random.Random) -> Task:
    """The largest or smallest of some numbers, or a default if there is none."""
    numbers, default = rng.choice(LISTS), rng.choice(["0", "-1", "None", "100", "limit", "n", "k"])
    wanted, test = condition(rng, "@x")
    word, best = rng.choice([("largest", "max"), ("smallest", "min")])
    goal = f"the {word} number in {numbers} that is {wanted}, or {default} if there is none"
    short = f"return {best}([@x for @x in {numbers} if {test}], default={default})"
    long = f"@out = [@x for @x in {numbers} if {test}]\nif not @out:\n    return {default}\nreturn {best}(@out)"
    named = default.isidentifier() and default != "None"
    near = edges(test)
    rows = [[edge] for edge in rng.sample(near, min(len(near), 3))] + [rng.sample([*near, *MANY], 9), []]
    calls = tuple((row, rng.choice([3, 50, -20])) if named else (row,) for row in rows)
    return task(rng, "extreme", (numbers, default) if named else (numbers,), goal, short, long, calls)


def branches(rng: random.Random) -> Task:
    """A number clipped to two bounds, or changed in one of two ways."""
    n = rng.choice(SCALARS)
    low = rng.randint(2, 20)
    high = low + rng.randint(3, 30)
    if rng.random() < 0.25:
        goal = f"{n}, but {low} if it is less than {low} and {high} if it is greater than {high}"
        long = f"if {n} < {low}:\n    return {low}\nif {n} > {high}:\n    return {high}\nreturn {n}"
        return task(
            rng, "branches", (n,), goal, f"return max({low}, min({n}, {high}))", long, number_calls(rng, f"{low} {high}")
        )
    wanted, test = condition(rng, n, double=0.1)
    yes, one = change(rng, n)
    no, two = next(other for other in iter(lambda: change(rng, n), None) if other[1] != one)
    goal = f"{n} {yes} if {n} is {wanted}, and otherwise {n} {no}"
    long = f"if {test}:\n    return {one}\nreturn {two}"
    return task(rng, "branches", (n,), goal, f"return {one} if {test} else {two}", long, number_calls(rng, test))


def building(rng: random.Random) -> Task:
    """A list or a dictionary over a range of numbers."""
    n, low = rng.choice(SCALARS), rng.randint(0, 9)
    high = low + rng.randint(5, 30)
    told, span = rng.choice([
        (f"from {low} to {n}", f"range({low}, {n} + 1)"), (f"from {low} up to but not including {n}", f"range({low}, {n})"),
        (f"from {n} to {high}", f"range({n}, {high + 1})"), (f"from {n} down to {low}", f"range({n}, {low - 1}, -1)"),
    ])  # fmt: skip
    (done, code), (wanted, test) = change(rng, "@x"), condition(rng, "@x", double=0)
    goal, short, act, test = rng.choice([
        (f"a dictionary that maps each number {told} to that number {done}", f"{{@x: {code} for @x in {span}}}",
         f"@out[@x] = {code}", ""),
        (f"a list of the numbers {told}, each {done}", f"[{code} for @x in {span}]", f"@out.append({code})", ""),
        (f"a list of the numbers {told} that are {wanted}", f"[@x for @x in {span} if {test}]", "@out.append(@x)", test),
    ])  # fmt: skip
    long = f"@out = {'{}' if '[@x]' in act else '[]'}\n{gather(span, test, act)}\nreturn @out"
    calls = tuple((number,) for number in rng.sample([low - 1, low, low + 1, low + 3, low + 5, high - 2, high, high + 1], 5))
    return task(rng, "building", (n,), goal, f"return {short}", long, calls)


def checks(rng: random.Random) -> Task:
    """True or False: two numbers compared, two conditions, or one for all or any numbers of a list."""
    if rng.random() < 0.5:
        return list_check(rng)
    a, b = rng.sample(SCALARS, 2)
    (wanted, test), (other, second), k = condition(rng, a, 0), condition(rng, b, 0), rng.randint(2, 15)
    sign, words = rng.choice([(">", "greater than"), ("<", "less than"), (">=", "at least"), ("<=", "at most")])
    near = (-1, 0, 1)
    both = [(one, two) for one in edges(test) for two in edges(second)]
    goal, code, calls = rng.choice([
        (f"whether {a} is {wanted} and {b} is {other}", f"{test} and {second}", both),
        (f"whether {a} is {wanted} or {b} is {other}", f"{test} or {second}", both),
        (f"whether {a} is {words} {k} times {b}", f"{a} {sign} {k} * {b}", [(k * n + d, n) for n in (-2, 3, 5) for d in near]),
        (f"whether {a} plus {k} is {words} {b}", f"{a} + {k} {sign} {b}", [(n - k + d, n) for n in (-4, 9, 20) for d in near]),
    ])  # fmt: skip
    long = f"if {code}:\n    return True\nreturn False"
    return task(rng, "checks", (a, b), goal, f"return {code}", long, split(rng.sample(calls, len(calls)), code, a, b))


def split(calls: list[tuple[int, int]], code: str, a: str, b: str) -> tuple[tuple[int, int], ...]:
    """Return five of the calls, two or more of each outcome if there are that many."""
    yes, no = ([call for call in calls if eval(code, {}, {a: call[0], b: call[1]}) is wanted] for wanted in (True, False))
    return tuple([*yes[:2], *no[:3], *yes[2:5]][:5])


def list_check(rng: random.Random) -> Task:
    numbers, (wanted, test) = rng.choice(LISTS), condition(rng, "@x", 0.1)
    word, call, negated, early = rng.choice([
        ("all numbers in {} are", "all", "not ({})", "False"), ("any number in {} is", "any", "{}", "True"),
        ("no number in {} is", "not any", "{}", "False"),
    ])  # fmt: skip
    goal = f"whether {word.format(numbers)} {wanted}"
    late = "True" if early == "False" else "False"
    long = f"{gather(numbers, negated.format(test), f'return {early}')}\nreturn {late}"
    near = [*rng.sample(edges(test), len(edges(test))), *rng.sample(MANY, 6)]
    yes, no = ([n for n in near if eval(test.replace("@x", "n"), {}, {"n": n}) is outcome] for outcome in (True, False))
    rows = (yes[:3], no[:3], [*yes[3:5], *no[3:4]], [*no[4:6], *yes[5:6]], [])
    return task(rng, "checks", (numbers,), goal, f"return {call}({test} for @x in {numbers})", long,
                tuple((row,) for row in rows))  # fmt: skip


def slices(rng: random.Random) -> Task:
    """One or two parts of a list, by position or by size."""
    values = rng.choice(LISTS)
    (first, one), (second, two) = part(rng, values), part(rng, values)
    if rng.random() < 0.5:
        long = f"@out = {one}\nreturn @out"
        return task(rng, "slices", (values,), first, f"return {one}", long, tuple((row,) for row in ROWS))
    goal, long = f"{first}, followed by {second}", f"@out = {one}\nreturn @out + {two}"
    return task(rng, "slices", (values,), goal, f"return {one} + {two}", long, tuple((row,) for row in ROWS))


def part(rng: random.Random, values: str) -> tuple[str, str]:
    k = rng.randint(2, 4)
    words, code = rng.choice([
        (f"the first {k} elements of {values}", f"{values}[:{k}]"), (f"the last {k} elements of {values}", f"{values}[-{k}:]"),
        (f"{values} without its first {k} elements", f"{values}[{k}:]"),
        (f"{values} without its last {k} elements", f"{values}[:-{k}]"),
        (f"the {k} smallest elements of {values}", f"sorted({values})[:{k}]"),
        (f"the {k} largest elements of {values}", f"sorted({values}, reverse=True)[:{k}]"),
        (f"every {['second', 'third', 'fourth'][k - 2]} element of {values}", f"{values}[::{k}]"),
    ])  # fmt: skip
    return (f"{words} in reverse order", f"{code}[::-1]") if rng.random() < 0.3 else (words, code)


def loops(rng: random.Random) -> Task:
    """Repeat a change, count steps up to a limit, or go over the digits of a number."""
    n, limit = rng.sample(SCALARS, 2)
    (wanted, test), (done, code) = condition(rng, "@x", 0), change(rng, "@x", rng.choice([1, 2]))
    made = rng.randrange(3)
    if made == 0:
        wanted, test = rng.choice([(wanted, test), ("even", "@x % 2 == 0"), ("odd", "@x % 2 != 0"), ("above 4", "@x > 4")])
        goal, short = f"the sum of the digits of {n} that are {wanted}", f"sum(@x for @x in map(int, str({n})) if {test})"
        long = f"@out = 0\n{gather(f'map(int, str({n}))', test, '@out += @x')}\nreturn @out"
        return task(rng, "loops", (n,), goal, f"return {short}", long, ((0,), (7,), (48,), (13579,), (2064815,)))
    if made == 1:
        low = rng.randint(0, 9)
        goal, span = f"the sum of the numbers from {low} to {n}, each {done}", f"range({low}, {n} + 1)"
        long = f"@out = 0\n{gather(span, '', f'@out += {code}')}\nreturn @out"
        calls = tuple((number,) for number in (low - 1, low, low + 2, low + 5, low + 9))
        return task(rng, "loops", (n,), goal, f"return sum({code} for @x in {span})", long, calls)
    step, sign, k = rng.choice([("multiplied", "*=", k) for k in range(2, 6)] + [("increased", "+=", k) for k in range(2, 30)])
    goal = f"how many times {n} must be {step} by {k} until it is at least {limit}"
    body = f"@out = 0\nwhile {n} < {limit}:\n    {n} {sign} {k}\n    @out += 1\nreturn @out"
    calls = ((1, 1), (1, 40), (3, 7), (5, 100), (rng.randint(2, 9), rng.randint(20, 300)))
    return task(rng, "loops", (n, limit), goal, body, body, calls)


KINDS: dict[str, Callable[[random.Random], Task]] = {
    make.__name__: make for make in (arithmetic, mapping, summing, text, extreme, branches, building, checks, slices, loops)
}


def program(task: Task, body: str, loop_name: str, result_name: str, docstring: bool = False) -> str:
    """Return the whole function with named locals."""
    lines = body.replace("@x", loop_name).replace("@out", result_name).splitlines()
    if docstring:
        lines.insert(0, f'"""Return {task.goal}."""')
    return "\n".join([f"def {task.signature}:", *(f"    {line}" for line in lines)])


def write_answer(task: Task, style: CodeStyle, length: str, rng: random.Random) -> str:
    """Return a right answer: `short` is one expression, `plain` has statements, `long` also a docstring."""
    loop_name, result_name = (rng.choice([name for name in names if name not in task.params])
                              for names in (style.loop_names, style.result_names))  # fmt: skip
    code = program(task, task.short if length == "short" else task.long, loop_name, result_name, length == "long")
    fenced = f"```python\n{code}\n```" if style.fence else code
    around = (part.format(goal=task.goal) for part in (style.lead, style.tail))
    return "\n".join(part for part in (next(around), fenced, next(around)) if part)
