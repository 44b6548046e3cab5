"""Word problems in Chinese, with worked answers: six kinds with small numbers, the only text that the Chinese micro model has
seen."""

from __future__ import annotations

import random
from collections.abc import Callable

from problems import CROSS, Problem, Step

PEOPLE = ["小明", "小红", "小华", "小丽", "小刚", "小芳", "小军", "小梅", "小强", "小英", "小亮", "小玲"]
GOODS = [("铅笔", "支"), ("苹果", "个"), ("书", "本"), ("邮票", "张"), ("糖", "颗"), ("气球", "个"), ("本子", "本"),
         ("贝壳", "枚"), ("橘子", "个"), ("卡片", "张"), ("花", "朵"), ("球", "个")]  # fmt: skip


def boxes(rng: random.Random) -> Problem:
    """Several boxes of equal content, and some more."""
    name, (thing, unit) = rng.choice(PEOPLE), rng.choice(GOODS)
    count, each, more = (rng.randint(2, 9) for _ in range(3))
    told = [
        f"{name}有{count}盒{thing}，每盒{each}{unit}，又买了{more}{unit}。{name}一共有多少{unit}{thing}？",
        f"每盒有{each}{unit}{thing}。{name}买了{count}盒，另外还有{more}{unit}。一共有多少{unit}{thing}？",
    ]
    first = Step(f"{count}盒有", f"{count} {CROSS} {each}", str(count * each), f"{unit}{thing}")
    last = Step("一共有", f"{count * each} + {more}", str(count * each + more), f"{unit}{thing}")
    return Problem("boxes", rng.choice(told), f"一共有多少{unit}{thing}", (first, last))


def losses(rng: random.Random) -> Problem:
    """Some given away, some lost."""
    (name, friend), (thing, unit) = rng.sample(PEOPLE, 2), rng.choice(GOODS)
    start, given, lost = rng.randint(20, 89), rng.randint(2, 9), rng.randint(2, 9)
    told = [
        f"{name}有{start}{unit}{thing}，送给{friend}{given}{unit}，丢了{lost}{unit}。{name}还剩多少{unit}{thing}？",
        f"{name}原来有{start}{unit}{thing}。{friend}拿走{given}{unit}，后来又用掉{lost}{unit}。还剩多少{unit}？",
    ]
    first = Step("先剩下", f"{start} - {given}", str(start - given), f"{unit}{thing}")
    last = Step("最后剩下", f"{start - given} - {lost}", str(start - given - lost), f"{unit}{thing}")
    return Problem("losses", rng.choice(told), f"还剩多少{unit}{thing}", (first, last))


def sharing(rng: random.Random) -> Problem:
    """Equal parts, and what each person has already."""
    name, (thing, unit) = rng.choice(PEOPLE), rng.choice(GOODS)
    people, each, more = (rng.randint(2, 9) for _ in range(3))
    told = [
        f"{name}把{people * each}{unit}{thing}平均分给{people}个同学，每个同学原来有{more}{unit}。现在每个同学有多少{unit}？",
        f"{people * each}{unit}{thing}平均分给{people}个人，{name}也是其中之一，他自己还有{more}{unit}。{name}有多少{unit}？",
    ]
    first = Step("每人分到", f"{people * each} ÷ {people}", str(each), f"{unit}{thing}")
    last = Step("现在有", f"{each} + {more}", str(each + more), f"{unit}{thing}")
    return Problem("sharing", rng.choice(told), f"现在有多少{unit}{thing}", (first, last))


def change(rng: random.Random) -> Problem:
    """The change for a banknote."""
    name, (thing, unit) = rng.choice(PEOPLE), rng.choice(GOODS)
    count, price, money = rng.randint(2, 9), rng.randint(2, 9), rng.choice([90, 100])
    told = [
        f"{name}买了{count}{unit}{thing}，每{unit}{price}元，付了{money}元。应该找回多少元？",
        f"一{unit}{thing}{price}元。{name}带了{money}元，买了{count}{unit}。还剩多少元？",
    ]
    first = Step(f"{thing}要", f"{count} {CROSS} {price}", str(count * price), "元")
    last = Step("还剩", f"{money} - {count * price}", str(money - count * price), "元")
    return Problem("change", rng.choice(told), "还剩多少元", (first, last))


def ages(rng: random.Random) -> Problem:
    """The age of somebody older, some years ago."""
    name, friend = rng.sample(PEOPLE, 2)
    later, years, older = rng.randint(14, 60), rng.randint(2, 9), rng.randint(2, 9)
    told = [
        f"{friend}{years}年后{later}岁，{name}比{friend}大{older}岁。{name}今年多少岁？",
        f"{name}比{friend}大{older}岁。再过{years}年{friend}是{later}岁。{name}今年几岁？",
    ]
    first = Step(f"{friend}今年", f"{later} - {years}", str(later - years), "岁")
    last = Step(f"{name}今年", f"{later - years} + {older}", str(later - years + older), "岁")
    return Problem("ages", rng.choice(told), f"{name}今年多少岁", (first, last))


def days(rng: random.Random) -> Problem:
    """Weeks converted to days."""
    name, count, more = rng.choice(PEOPLE), rng.randint(2, 9), rng.randint(2, 6)
    place = rng.choice(["北京", "上海", "学校", "海边", "山里", "奶奶家", "农村", "南京", "西安", "夏令营"])
    told = [
        f"{name}在{place}住了{count}个星期零{more}天。一共住了多少天？",
        f"{name}在{place}的时间是{count}周又{more}天。一共是多少天？",
    ]
    first = Step("星期一共有", f"{count} {CROSS} 7", str(count * 7), "天")
    last = Step("加起来是", f"{count * 7} + {more}", str(count * 7 + more), "天")
    return Problem("days", rng.choice(told), "一共多少天", (first, last))


KINDS: dict[str, Callable[[random.Random], Problem]] = {
    make.__name__: make for make in (boxes, losses, sharing, change, ages, days)
}


def write_answer(problem: Problem, length: str) -> str:
    """Return the worked answer in Chinese: `short` has only the equations, `plain` a sentence per step, `long` also the
    goal."""
    lines = [f"{step.expression} = {step.result}。" for step in problem.steps]
    if length != "short":
        lines = [f"{step.lead}：{step.expression} = {step.result}{step.tail}。" for step in problem.steps]
    goal = [f"我们要求{problem.goal}。"] if length == "long" else []
    return "\n".join([*goal, *lines, f"答案是{problem.answer}。"])
