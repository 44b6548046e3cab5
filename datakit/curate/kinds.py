"""The subject of a prompt, by rules: each gives points, and enough of them make it a prompt about code or mathematics.

This uses no model, so it is fast and explains itself, and it errs on borderline prompts: docs/curation.md has how often. If the
dataset has a column for it, a filter of that column is better.
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from datakit.recipe.curate import Kind


class Rule(NamedTuple):
    points: int
    pattern: str


_LANGUAGES = (
    r"python3?|java|javascript|typescript|c\+\+|c#|golang|kotlin|php|perl|matlab|bash script|shell script|sql|mysql|html5?|css|"
    r"postgres(?:ql)?|node\.?js|vue\.?js|react(?:js| native| component| app)|django|numpy|pandas|pytorch|tensorflow|powershell|"
    r"vba|verilog|solidity|haskell|fortran|dockerfile|assembly language|arduino"
)
RULES: dict[Kind, tuple[Rule, ...]] = {
    "code": (
        Rule(3, r"(?m)^[ \t]*```\w|<\?php|#include\s*<|</?(?:div|script|html|body)\b"),
        Rule(
            3,
            r"(?m)^\s*(?:def \w+\(|class \w+[(:]|import \w+$|from \w+ import|public (?:static|class)|assert \w)",
        ),
        Rule(2, rf"(?i)(?:^|[^\w+#])(?:{_LANGUAGES})(?:$|[^\w+#])"),
        Rule(
            2,
            r"(?i)\bwrite (?:a|an|me a|the|some) (?:[\w+#]+ ){0,3}(?:function|program|code|query|algorithm)\b|"
            r"\b(?:debug|refactor|compile|unit tests?|stack trace|regex|regular expression|leetcode|source code|codebase)\b",
        ),
        Rule(1, r"(?i)\b(?:code|coding|function|algorithm|api|script|database|program|programming|software|variable|array)\b"),
        Rule(2, r"代码|编程|程序设计|(?:编写|写).{0,8}(?:函数|程序|脚本|算法|代码)|爬虫|正则表达式|数据库查询"),
        Rule(1, r"函数|算法|数据结构|程序|脚本|接口|数据库"),
    ),
    "math": (
        Rule(2, r"\\(?:d?frac|sqrt|sum|int|cdot|leq?|geq?|angle|triangle|begin|pi|theta|boxed|pmod|ldots|times|overline)\b"),
        Rule(2, r"\$[^$\n]{0,60}[=+^\\<>_*/-][^$\n]{0,60}\$|\$[A-Za-z0-9]{1,3}\$"),
        Rule(2, r"(?i)\b[a-z]\^\d|\b\d+\s*[-+*/\xD7\xF7]\s*\d+\s*=|\b[xyn]\s*[-+]\s*\d+\s*=|\b\d*[xy]\s*=\s*-?\d"),
        Rule(2, r"(?i)\bhow (?:many|much|old|long|far|tall|fast)\b[^?]{0,120}\?\s*$|\bwhat (?:percent|fraction|percentage)\b"),
        Rule(
            1,
            r"(?i)\b(?:how many|how much|in total|altogether|average|twice|half|total|remaining|per (?:hour|day|week|month))\b",
        ),
        Rule(1, r"(?s)\d.{1,200}\D\d.{1,200}\D\d"),
        Rule(
            2,
            r"(?i)\b(?:solve for|equations?|polynomials?|integers?|probability|derivative|integral|triangles?|perimeter|"
            r"geometry|algebra|calculus|prove that|divisible|remainder|factorial|logarithm|arithmetic sequence|square root|"
            r"circumference|hypotenuse|math(?:ematics)? problems?)\b",
        ),
        Rule(2, r"方程|概率是|求解|函数的?值|三角形|多项式|微积分|导数|积分|几何|等差|等比|数学题|平方根|不等式|余数|矩阵"),
        Rule(
            2,
            r"(?:多少|几)(?:个|元|米|千米|公里|只|人|天|小时|分钟|岁|本|棵|吨|千克|公斤|次|页|度|种)?[?\x{FF1F}。]?\s*$|"
            r"求.{1,30}的?值",
        ),
        Rule(1, r"一共|平均|倍|每(?:天|小时|个|人)|百分之|\d+\s*[+*/\xD7\xF7=]\s*\d+|\d+ - \d+"),
    ),
}
"""Written for prompts of public benchmarks and chats; what was seen to misfire is left out."""


def points(kind: Kind) -> pl.Expr:
    """Return the points of each text in the column `text`."""
    return pl.sum_horizontal(pl.col("text").str.contains(rule.pattern).cast(pl.Int32) * rule.points for rule in RULES[kind])


def seen(kind: Kind) -> pl.Expr:
    """Return the words that gave the points, to be read."""
    found = [pl.col("text").str.extract(f"({rule.pattern})", 1).str.slice(0, 40) for rule in RULES[kind]]
    return pl.concat_str(found, separator=" | ", ignore_nulls=True)
