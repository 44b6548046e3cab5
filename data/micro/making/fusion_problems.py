"""Word problems for the fusion demonstration: twelve kinds with small numbers and varied wording.

The difficulty of a kind is the method, not the arithmetic: one operand of every step has one digit, or both are
small. Four kinds are `COMMON`: every model is taught them. Of the other eight each source is taught two well, and the target
none. Four of those need a number that no question states (the days of a week, the legs of animals, the two sides
of a garden, the two parts of an average).

Names, things and numbers are drawn from lists long enough that a kind has at least 40,000 questions.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from problems import NAMES, THINGS, WARES, Problem, Step, plural

PEOPLE = [*NAMES, ("Ida", "she"), ("Max", "he"), ("Eva", "she"), ("Noah", "he"), ("Zoe", "she"), ("Paul", "he"),
          ("Iris", "she"), ("Carl", "he"), ("Vera", "she"), ("Finn", "he"), ("Rosa", "she"), ("Igor", "he")]  # fmt: skip
GOODS = [*THINGS, "buttons", "ribbons", "nuts", "plums", "tiles", "bricks", "eggs", "masks", "flags", "keys"]
COMMON = ("boxes", "losses", "bags", "finds")


def boxes(rng: random.Random) -> Problem:
    (name, _), things = rng.choice(PEOPLE), rng.choice(GOODS)
    count, each, more = (rng.randint(2, 9) for _ in range(3))
    told = [
        f"{name} has {count} boxes of {each} {things} and {more} {things} more. How many {things} is that?",
        f"There are {count} boxes with {each} {things} in each. {name} brings {more} {things}. How many {things} are there?",
    ]
    first = Step("The boxes hold", f"{count} * {each}", str(count * each), things)
    last = Step("With the others that is", f"{count * each} + {more}", str(count * each + more), things)
    return Problem("boxes", rng.choice(told), f"how many {things} there are", (first, last))


def losses(rng: random.Random) -> Problem:
    ((name, she), (friend, _)), things = rng.sample(PEOPLE, 2), rng.choice(GOODS)
    start, given, lost = rng.randint(20, 89), rng.randint(2, 9), rng.randint(2, 9)
    told = [
        f"{name} has {start} {things}. {she.title()} gives {given} to {friend} and loses {lost}. How many {things} are left?",
        f"Of {start} {things} {friend} takes {given} and {name} takes {lost}. How many {things} remain?",
    ]
    first = Step("After the first there are", f"{start} - {given}", str(start - given), things)
    last = Step("Then there are", f"{start - given} - {lost}", str(start - given - lost), things)
    return Problem("losses", rng.choice(told), f"how many {things} are left", (first, last))


def bags(rng: random.Random) -> Problem:
    (name, she), things = rng.choice(PEOPLE), rng.choice(GOODS)
    size, count, more = (rng.randint(2, 9) for _ in range(3))
    told = [
        f"{name} puts {size * count} {things} into bags of {size} and buys {more} more bags. How many bags has {she} now?",
        f"{size * count} {things} are packed into bags of {size}. {name} brings {more} bags. How many bags are there?",
    ]
    first = Step(f"The {things} fill", f"{size * count} / {size}", str(count), "bags")
    last = Step("With the others that is", f"{count} + {more}", str(count + more), "bags")
    return Problem("bags", rng.choice(told), "how many bags there are", (first, last))


def finds(rng: random.Random) -> Problem:
    (name, she), things = rng.choice(PEOPLE), rng.choice(GOODS)
    start, more, less = rng.randint(11, 80), rng.randint(2, 9), rng.randint(2, 9)
    told = [
        f"{name} has {start} {things}, finds {more} and sells {less}. How many {things} has {she} now?",
        f"In the morning {name} has {start} {things}. Later {she} gets {more} and drops {less}. How many {things} has {she}?",
    ]
    first = Step("First that makes", f"{start} + {more}", str(start + more), things)
    last = Step("Then there are", f"{start + more} - {less}", str(start + more - less), things)
    return Problem("finds", rng.choice(told), f"how many {things} {name} has", (first, last))


def wages(rng: random.Random) -> Problem:
    (name, she), wage = rng.choice(PEOPLE), rng.randint(2, 9)
    day, other = rng.sample(["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"], 2)
    early = rng.randint(1, 7)
    late = rng.randint(1, 9 - early)
    told = [
        f"{name} earns ${wage} an hour and works {early} hours on {day} and {late} on {other}. How much does {she} earn?",
        f"On {day} {name} works {early} hours, on {other} {late}. An hour pays ${wage}. How many dollars is that?",
    ]
    first = Step("The hours are", f"{early} + {late}", str(early + late), "hours")
    last = Step("The pay is", f"{early + late} * {wage}", str((early + late) * wage), "dollars")
    return Problem("wages", rng.choice(told), f"how much {name} earns", (first, last))


def ages(rng: random.Random) -> Problem:
    (name, _), (friend, _) = rng.sample(PEOPLE, 2)
    later, years, older = rng.randint(14, 60), rng.randint(2, 9), rng.randint(2, 9)
    told = [
        f"{name} is {older} years older than {friend}. In {years} years {friend} will be {later}. How old is {name} today?",
        f"In {years} years {friend} will be {later} years old. {name} is {older} years older. What is the age of {name} now?",
    ]
    first = Step(f"Today {friend} is", f"{later} - {years}", str(later - years), "years old")
    last = Step(f"So {name} is", f"{later - years} + {older}", str(later - years + older), "years old")
    return Problem("ages", rng.choice(told), f"the age of {name}", (first, last))


def fence(rng: random.Random) -> Problem:
    (name, she), long, wide = rng.choice(PEOPLE), rng.randint(10, 30), rng.randint(2, 9)
    place = rng.choice(["garden", "field", "yard", "meadow", "pool", "court", "lawn", "park"])
    told = [
        f"{name} walks once around a {place}, {long} meters long and {wide} meters wide. How many meters does {she} walk?",
        f"The {place} of {name} is {long} meters long and {wide} meters wide. How long is a fence around it, in meters?",
    ]
    first = Step("Two sides are", f"{long} + {wide}", str(long + wide), "meters")
    last = Step("All around it is", f"{long + wide} * 2", str(2 * (long + wide)), "meters")
    return Problem("fence", rng.choice(told), f"the way around the {place}", (first, last))


def weeks(rng: random.Random) -> Problem:
    (name, she), count, more = rng.choice(PEOPLE), rng.randint(2, 9), rng.randint(2, 6)
    place = rng.choice(["at sea", "in Rome", "in Paris", "at school", "in a camp", "with friends", "in Oslo", "on a farm",
                        "in Lima", "at home", "in the hills", "on an island", "in Cairo", "by a lake", "in Tokyo"])  # fmt: skip
    told = [
        f"{name} spends {count} weeks and {more} days {place}. How many days is {she} there?",
        f"For {count} weeks and {more} days {name} lives {place}. How many days does {she} stay?",
        f"The time that {name} has {place} is {count} weeks and {more} days. How many days are that?",
    ]
    first = Step("The weeks have", f"{count} * 7", str(count * 7), "days")
    last = Step("Together that is", f"{count * 7} + {more}", str(count * 7 + more), "days")
    return Problem("weeks", rng.choice(told), f"how many days {name} stays", (first, last))


def budget(rng: random.Random) -> Problem:
    (name, she), ware = rng.choice(PEOPLE), rng.choice(WARES)
    count, price, money = rng.randint(2, 9), rng.randint(2, 9), rng.choice([90, 100])
    told = [
        f"{name} buys {count} {plural(ware)} for ${price} each and pays with ${money}. How much change does {she} get?",
        f"With ${money} {name} buys {count} {plural(ware)} at ${price} each. How many dollars does {she} keep?",
    ]
    first = Step(f"The {plural(ware)} cost", f"{count} * {price}", str(count * price), "dollars")
    last = Step("That leaves", f"{money} - {count * price}", str(money - count * price), "dollars")
    return Problem("budget", rng.choice(told), f"how much money {name} keeps", (first, last))


def average(rng: random.Random) -> Problem:
    (name, _), things = rng.choice(PEOPLE), rng.choice(GOODS)
    much, few = rng.randint(10, 40), rng.randint(1, 4)
    few = 2 * few + much % 2
    told = [
        f"{name} collects {much} {things} one day and {few} the next. How many {things} a day is that on average?",
        f"Two bowls hold {much} and {few} {things}. {name} makes them equal. How many {things} are then in each bowl?",
    ]
    first = Step("Together that is", f"{much} + {few}", str(much + few), things)
    last = Step("Half of it is", f"{much + few} / 2", str((much + few) // 2), things)
    return Problem("average", rng.choice(told), "the average", (first, last))


def portion(rng: random.Random) -> Problem:
    (name, _), parts, each = rng.choice(PEOPLE), rng.randint(2, 5), rng.randint(2, 9)
    share = {2: "one half", 3: "one third", 4: "one quarter", 5: "one fifth"}[parts]
    people = rng.choice(["students", "guests", "workers", "players", "children", "friends", "neighbors", "dancers"])
    act = rng.choice(["walk", "drink tea", "come by bus", "wear glasses", "like chess", "sing", "ride a bike", "read",
                      "paint", "ski", "speak Greek", "play cards", "sleep late", "eat rice", "have a dog", "run"])  # fmt: skip
    total = parts * each
    told = [
        f"{name} has {total} {people}, and {share} of them {act}. How many of the {people} do not?",
        f"Of the {total} {people} of {name} {share} {act}. How many {people} do not {act}?",
    ]
    first = Step(f"Those who {act} are", f"{total} / {parts}", str(each), people)
    last = Step("The others are", f"{total} - {each}", str(total - each), people)
    return Problem("portion", rng.choice(told), f"how many {people} do not {act}", (first, last))


def legs(rng: random.Random) -> Problem:
    name, _ = rng.choice(PEOPLE)
    beast = rng.choice(["cows", "horses", "goats", "pigs", "dogs", "cats", "rabbits"])
    bird = rng.choice(["hens", "ducks", "geese", "swans", "doves", "owls"])
    many, few = rng.randint(2, 9), rng.randint(2, 9)
    told = [
        f"{name} has {many} {beast} and {few} {bird}. How many legs do the animals have?",
        f"On the farm of {name} {few} {bird} and {many} {beast} live. How many legs is that?",
    ]
    first = Step(f"The {beast} have", f"{many} * 4", str(many * 4), "legs")
    second = Step(f"The {bird} have", f"{few} * 2", str(few * 2), "legs")
    last = Step("Together that is", f"{many * 4} + {few * 2}", str(many * 4 + few * 2), "legs")
    return Problem("legs", rng.choice(told), "how many legs there are", (first, second, last))


KINDS: dict[str, Callable[[random.Random], Problem]] = {
    make.__name__: make
    for make in (boxes, losses, bags, finds, wages, ages, fence, weeks, budget, average, portion, legs)
}  # fmt: skip
