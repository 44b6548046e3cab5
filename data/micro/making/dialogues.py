"""Restaurants of an invented town, and conversations about them: data/dialogue/{kb,train,problems}.jsonl.

    python data/micro/making/dialogues.py

Everything is drawn from the lists below with one seed. The recommended restaurant is the first one in the file that fits, so
that a model can learn it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SEED, RESTAURANTS, TRAIN, PROBLEMS = 7, 12, 200, 30
FOLDER = Path(__file__).parents[2] / "dialogue"
AREAS = ("harbour", "old town", "hillside", "riverside")
FOODS = ("fish", "noodle", "curry", "pasta", "dumpling", "bean", "grill", "pancake")
PRICES = ("cheap", "moderate", "expensive")
FIRST = ("amber", "blue", "copper", "early", "green", "hidden", "lucky", "quiet", "red", "silver", "tall", "velvet")
LAST = ("anchor", "lantern", "table", "kettle", "garden", "bridge", "spoon", "window", "oak", "gull")
STREETS = ("mill lane", "quay street", "tower road", "bell court", "ferry row", "linden walk")

Entity = dict[str, str]
Turn = dict[str, str]


def restaurants(rng: random.Random) -> list[Entity]:
    """Return restaurants, no two with the same name, phone or address."""
    names = rng.sample([f"{first} {last}" for first in FIRST for last in LAST], RESTAURANTS)
    phones = rng.sample(range(1000, 9999), RESTAURANTS)
    places = rng.sample([f"{number} {street}" for street in STREETS for number in range(2, 40)], RESTAURANTS)
    return [
        {"name": name, "area": rng.choice(AREAS), "food": rng.choice(FOODS), "price": rng.choice(PRICES),
         "address": place, "phone": f"555 {phone}"}
        for name, phone, place in zip(names, phones, places, strict=True)
    ]  # fmt: skip


def wishes(rng: random.Random, entity: Entity) -> Entity:
    """Draw two or three attributes of a restaurant."""
    return {name: entity[name] for name in sorted(rng.sample(("area", "food", "price"), rng.choice((2, 2, 3))))}


def asked(rng: random.Random, wish: Entity) -> str:
    """Write a wish in words."""
    what = f"{wish['price']} " if "price" in wish else ""
    what += f"{wish['food']} restaurant" if "food" in wish else "restaurant"
    where = f" in the {wish['area']}" if "area" in wish else ""
    place = f"{'an' if what.startswith('e') else 'a'} {what}{where}"
    return rng.choice((f"I am looking for {place}.", f"Can you find me {place}?", f"Is there {place}?",
                       f"We would like to eat at {place} tonight."))  # fmt: skip


def recommended(rng: random.Random, entity: Entity) -> str:
    """Write an answer that names the restaurant."""
    name, food, price, area = (entity[column] for column in ("name", "food", "price", "area"))
    return rng.choice((f"{name} in the {area} is {price} and serves {food}.",
                       f"I recommend {name} in the {area}, {price} {food}.",
                       f"There is {name} in the {area}, it serves {price} {food} dishes."))  # fmt: skip


def detail(rng: random.Random, entity: Entity) -> Turn:
    """Write a question about the restaurant just named, and its answer."""
    column, question = rng.choice((("phone", "What is their phone number?"), ("address", "What is the address?"),
                                   ("phone", "How can I call them?"), ("address", "Where exactly is that?")))  # fmt: skip
    said = {"phone": f"The phone number of {entity['name']} is {entity['phone']}.",
            "address": f"{entity['name']} is at {entity['address']}."}  # fmt: skip
    return {"user": question, "system": said[column]}


def dialogue(rng: random.Random, kb: list[Entity]) -> list[Turn]:
    """Write a wish and its answer, mostly a question about it, sometimes another wish, and thanks."""
    turns: list[Turn] = []
    for _ in range(rng.choice((1, 1, 2))):
        wish = wishes(rng, rng.choice(kb))
        entity = next(one for one in kb if wish.items() <= one.items())
        opening = rng.choice(("And something else: ", "One more: ")) if turns else ""
        turns.append({"user": opening + asked(rng, wish), "system": recommended(rng, entity)})
        if rng.random() < 0.8:
            turns.append(detail(rng, entity))
    return [*turns, {"user": "Thank you, that is all.", "system": "You are welcome. Goodbye."}]


def lines(rows: list[Any]) -> str:
    """Return rows as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def dialogues(rng: random.Random, kb: list[Entity]) -> Iterator[dict[str, Any]]:
    """Yield dialogues without end, none twice."""
    seen = set()
    while True:
        turns = dialogue(rng, kb)
        if (text := json.dumps(turns)) not in seen:
            seen.add(text)
            yield {"dialogue_id": f"micro-dialogue/{len(seen) - 1:04d}", "turns": turns}


if __name__ == "__main__":
    rng = random.Random(SEED)
    kb = restaurants(rng)
    made = dialogues(rng, kb)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "kb.jsonl").write_text(lines(kb), encoding="utf-8")
    (FOLDER / "train.jsonl").write_text(lines([next(made) for _ in range(TRAIN)]), encoding="utf-8")
    (FOLDER / "problems.jsonl").write_text(lines([next(made) for _ in range(PROBLEMS)]), encoding="utf-8")
