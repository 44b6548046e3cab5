"""Word problems with worked answers, made from templates: the only text that the micro models have seen.

A `Problem` knows its question, its steps and its answer; `write_answer` writes the steps in one of three lengths, in the
house style of one model family. Every number comes from the caller's `random.Random`, so a seed is a data set.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

CROSS = "\u00d7"  # the multiplication sign of two of the families; the others write an asterisk
NAMES = [("Mia", "she"), ("Tom", "he"), ("Ana", "she"), ("Ben", "he"), ("Lena", "she"), ("Omar", "he"),
         ("Ruth", "she"), ("Sam", "he"), ("Nina", "she"), ("Leo", "he"), ("Kate", "she"), ("Hugo", "he")]  # fmt: skip
THINGS = ["apples", "marbles", "stickers", "books", "cards", "shells", "coins", "pencils", "stamps", "beads"]
WARES = ["pen", "notebook", "cup", "ticket", "sandwich", "plant", "lamp", "ball", "bag", "candle"]
SHARES = {"one half": Fraction(1, 2), "one third": Fraction(1, 3), "one quarter": Fraction(1, 4),
          "10%": Fraction(1, 10), "20%": Fraction(1, 5), "25%": Fraction(1, 4), "50%": Fraction(1, 2),
          "75%": Fraction(3, 4)}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One line of arithmetic: `lead expression = result tail`."""

    lead: str
    expression: str
    result: str
    tail: str


@dataclass(frozen=True)
class Problem:
    kind: str
    question: str
    goal: str  # continues "We need to find ..."
    steps: tuple[Step, ...]

    @property
    def answer(self) -> str:
        return self.steps[-1].result


@dataclass(frozen=True)
class HouseStyle:
    """How a family writes: between steps, before each step, the sign of multiplication, the last line."""

    joint: str
    bullet: str
    times: str
    final: str


def change(rng: random.Random) -> Problem:
    """Something is added and something taken away."""
    (name, she), (friend, _) = rng.sample(NAMES, 2)
    things = rng.choice(THINGS)
    start, more = rng.randint(8, 60), rng.randint(3, 39)
    less = rng.randint(2, start - 2)
    told = [
        f"{name} has {start} {things}. {she.title()} buys {more} more and gives {less} to {friend}.",
        f"{name} had {start} {things} in a box. {friend} put in {more} more, and {name} took out {less}.",
        f"At noon {name} has {start} {things}. Later {she} finds {more} and loses {less}.",
    ]
    first = Step(f"With the new ones {name} has", f"{start} + {more}", str(start + more), things)
    second = Step("Now there are", f"{start + more} - {less}", str(start + more - less), f"{things} left")
    asked = f"How many {things} are there now?"
    return Problem("change", f"{rng.choice(told)} {asked}", f"how many {things} are left", (first, second))


def purchase(rng: random.Random) -> Problem:
    """Two kinds of goods, each at its price."""
    name, she = rng.choice(NAMES)
    ware, other = rng.sample(WARES, 2)
    (price, dear), (count, few) = rng.sample(range(2, 10), 2), rng.sample(range(2, 9), 2)
    told = [
        f"A {ware} costs ${price} and a {other} costs ${dear}. {name} buys {count} {plural(ware)} and {few} "
        f"{plural(other)}. How much does {she} pay in all?",
        f"{name} buys {count} {plural(ware)} at ${price} each and {few} {plural(other)} at ${dear} each. How many "
        f"dollars does {she} spend?",
    ]
    first = Step(f"The {plural(ware)} cost", f"{count} * {price}", str(count * price), "dollars")
    second = Step(f"The {plural(other)} cost", f"{few} * {dear}", str(few * dear), "dollars")
    both = Step("In all that is", f"{count * price} + {few * dear}", str(count * price + few * dear), "dollars")
    return Problem("purchase", rng.choice(told), f"how much {name} pays", (first, second, both))


def budget(rng: random.Random) -> Problem:
    """Money that is left after buying several of one thing."""
    name, she = rng.choice(NAMES)
    ware = rng.choice(WARES)
    count, price = rng.randint(2, 9), rng.randint(2, 9)
    money = rng.choice([note for note in (20, 50, 100) if note > count * price])
    told = [
        f"{name} buys {count} {plural(ware)} for ${price} each and pays with a ${money} bill. How much change does {she} get?",
        f"{name} has ${money}. {she.title()} buys {count} {plural(ware)} at ${price} each. How many dollars does "
        f"{she} have left?",
    ]
    first = Step(f"The {plural(ware)} cost", f"{count} * {price}", str(count * price), "dollars")
    second = Step("That leaves", f"{money} - {count * price}", str(money - count * price), "dollars")
    return Problem("budget", rng.choice(told), f"how much money {name} has left", (first, second))


def sharing(rng: random.Random) -> Problem:
    """Equal parts, sometimes after some are put aside, sometimes with half a unit."""
    name, she = rng.choice(NAMES)
    parts, each = rng.randint(2, 9), rng.randint(2, 12)
    if rng.random() < 0.15:
        length = rng.choice([4, 8]) * rng.randint(1, 5) + rng.choice([2, 6])
        question = f"{name} cuts a rope of {length} meters into 4 equal pieces. How many meters long is each piece?"
        return Problem("sharing", question, "the length of one piece",
                       (Step("Each piece has", f"{length} / 4", str(length / 4), "meters"),))  # fmt: skip
    things, kept = rng.choice(THINGS), rng.randint(2, 9)
    total = parts * each
    last = Step("Each one gets", f"{total} / {parts}", str(each), things)
    if rng.random() < 0.4:
        question = f"{name} shares {total} {things} equally among {parts} friends. How many {things} does each friend get?"
        return Problem("sharing", question, f"how many {things} each friend gets", (last,))
    question = (f"{name} has {total + kept} {things}. {she.title()} keeps {kept} and puts the rest equally into {parts} bags. "
                f"How many {things} are in each bag?")  # fmt: skip
    first = Step("To share there are", f"{total + kept} - {kept}", str(total), things)
    return Problem("sharing", question, f"how many {things} each bag holds", (first, last))


def rate(rng: random.Random) -> Problem:
    """An amount per hour, for some hours."""
    name, she = rng.choice(NAMES)
    first_hours, more_hours = rng.randint(2, 5), rng.randint(2, 4)
    hours, speed, wage = first_hours + more_hours, rng.randrange(20, 75, 5), rng.randint(6, 15)
    if rng.random() < 0.4:
        told = [
            f"A bus drives {speed} miles per hour. How many miles does it drive in {first_hours} hours?",
            f"{name} rides a train at {speed} miles per hour for {first_hours} hours. How far does {she} travel?",
        ]
        only = Step("The distance is", f"{speed} * {first_hours}", str(speed * first_hours), "miles")
        return Problem("rate", rng.choice(told), "the distance in miles", (only,))
    question = (f"{name} earns ${wage} an hour. {she.title()} works {first_hours} hours on Monday and {more_hours} hours on "
                f"Tuesday. How much does {she} earn?")  # fmt: skip
    time = Step(f"{name} works", f"{first_hours} + {more_hours}", str(hours), "hours")
    pay = Step("The pay is", f"{hours} * {wage}", str(hours * wage), "dollars")
    return Problem("rate", question, f"how much {name} earns", (time, pay))


def comparison(rng: random.Random) -> Problem:
    """One person has more, fewer or several times as many as another; how many together?"""
    (name, _), (friend, _) = rng.sample(NAMES, 2)
    things = rng.choice(THINGS)
    count, other = rng.randint(12, 50), rng.randint(3, 11)
    times = rng.choice([2, 3])
    told = {
        f"{count} + {other}": (f"{friend} has {other} more than {name}.", count + other),
        f"{count} - {other}": (f"{friend} has {other} fewer than {name}.", count - other),
        f"{times} * {count}": (f"{friend} has {times} times as many as {name}.", times * count),
    }
    expression = rng.choice(list(told))
    relation, theirs = told[expression]
    first = Step(f"{friend} has", expression, str(theirs), things)
    both = Step("Together they have", f"{count} + {theirs}", str(count + theirs), things)
    question = f"{name} has {count} {things}. {relation} How many {things} do they have together?"
    return Problem("comparison", question, f"how many {things} they have together", (first, both))


def portion(rng: random.Random) -> Problem:
    """A fraction or a percentage of a group, or what remains of it."""
    share = rng.choice(list(SHARES))
    total = SHARES[share].denominator * rng.randint(3, 12)
    if share.endswith("%") and total < 20:
        total *= 2
    part = int(total * SHARES[share])
    people, act = rng.choice([("students", "walk to school"), ("guests", "drink tea"), ("workers", "come by bus"),
                              ("players", "wear glasses"), ("children", "like chess")])  # fmt: skip
    first = Step(f"The number who {act} is", f"{share} of {total}", str(part), people)
    told = f"In a group of {total} {people}, {share} {act}."
    if rng.random() < 0.5:
        return Problem("portion", f"{told} How many {people} {act}?", f"how many {people} {act}", (first,))
    rest = Step("The others are", f"{total} - {part}", str(total - part), people)
    return Problem("portion", f"{told} How many {people} do not {act}?", f"how many {people} do not {act}", (first, rest))


def rectangle(rng: random.Random) -> Problem:
    """The fence around a rectangle, or its area."""
    name, _ = rng.choice(NAMES)
    place = rng.choice(["garden", "field", "room", "yard"])
    width, length = sorted(rng.sample(range(3, 20), 2))
    told = f"{name} has a {place} that is {length} meters long and {width} meters wide."
    if rng.random() < 0.4:
        width, length = sorted(rng.sample(range(3, 13), 2))
        told = f"{name} has a {place} that is {length} meters long and {width} meters wide."
        area = Step("The area is", f"{length} * {width}", str(length * width), "square meters")
        return Problem("rectangle", f"{told} What is its area in square meters?", "the area", (area,))
    sides = Step("Two sides are", f"{length} + {width}", str(length + width), "meters")
    around = Step("All around it is", f"2 * {length + width}", str(2 * (length + width)), "meters")
    return Problem("rectangle", f"{told} What is its perimeter in meters?", "the perimeter", (sides, around))


KINDS: dict[str, Callable[[random.Random], Problem]] = {
    make.__name__: make for make in (change, purchase, budget, sharing, rate, comparison, portion, rectangle)
}


def plural(ware: str) -> str:
    return f"{ware}es" if ware.endswith(("ch", "s")) else f"{ware}s"


def write_answer(problem: Problem, style: HouseStyle, length: str) -> str:
    """Return the worked answer: `short` has only the equations, `plain` a sentence per step, `long` also goal and result."""
    lines = [write_step(step, style, bare=length == "short") for step in problem.steps]
    if length == "long":
        lines.insert(0, f"We need to find {problem.goal}.")
        lines.append(f"So the result is {problem.answer} {problem.steps[-1].tail}.")
    return style.joint.join([*lines, style.final.format(problem.answer)])


def write_step(step: Step, style: HouseStyle, bare: bool = False) -> str:
    equation = f"{step.expression.replace('*', style.times)} = {step.result}"
    return f"{style.bullet}{equation}." if bare else f"{style.bullet}{step.lead} {equation} {step.tail}."
