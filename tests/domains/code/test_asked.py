"""Tests that prompts hold themselves: assertions of self-oss-instruct's form, examples of LeetCode's."""

from __future__ import annotations

import pytest

from datakit.domains.code.asked import asserts_in, examples_in
from datakit.domains.code.domain import Code
from datakit.recipe import VerifyCode

OSS = """Write a Python function `double` that doubles a number.

Your code should pass the following assertion:

```python
assert double(2) == 4
assert double(0) == 0
```"""
LEETCODE = """Given an array of integers `nums` and an integer `target`, return the indices of the two numbers.

**Example 1:**

```
Input: nums = [2,7,11,15], target = 9
Output: [0,1]
Explanation: 2 + 7 = 9
```

**Example 2:**

Input: nums = [3,3], target = 6
Output: [0,1]
"""
SOLUTION = """def twoSum(nums, target):
    seen = {}
    for at, one in enumerate(nums):
        if target - one in seen:
            return [seen[target - one], at]
        seen[one] = at
"""


def test_assertions_are_taken_out_of_the_instruction():
    assert asserts_in(OSS) == "assert double(2) == 4\nassert double(0) == 0"
    [prompt] = Code(VerifyCode()).read([{"prompt": OSS}], "x")
    assert (prompt.test_style, prompt.dropped) == ("asserts", None) and prompt.messages[-1]["content"] == OSS


@pytest.mark.parametrize(
    "text", ["No code.", "```python\nx = 1\nassert x\n```", "```\nassert double(2) =\n```", "assert double(2) == 4"]
)
def test_other_blocks_are_no_tests(text):
    assert asserts_in(text) is None
    [prompt] = Code(VerifyCode()).read([{"prompt": text}], "x")
    assert prompt.dropped == "no tests"


def test_examples_become_tests_and_the_prompt_says_what_they_call():
    [prompt] = Code(VerifyCode()).read([{"prompt": LEETCODE, "solution": f"```python\n{SOLUTION}```\nIt looks them up."}], "x")
    assert prompt.reference == "assert twoSum([2, 7, 11, 15], 9) == [0, 1]\nassert twoSum([3, 3], 6) == [0, 1]"
    assert prompt.messages[-1]["content"].endswith("Write a Python function `twoSum(nums, target)`.")
    assert (prompt.entry_point, prompt.test_style, prompt.dropped) == ("twoSum", "asserts", None)


@pytest.mark.parametrize(
    ("text", "solution"),
    [
        (LEETCODE + "You can return the answer in any order.", SOLUTION),
        (LEETCODE, "def twoSum(nums, goal):\n    pass"),
        (LEETCODE, "class Solution:\n    def twoSum(self, nums, target):\n        pass"),
        (LEETCODE, None),
        (LEETCODE.replace("[0,1]", "2.5"), SOLUTION),
        (LEETCODE.replace("[0,1]", "the list"), SOLUTION),
        ("Input: head = [1,2]\nOutput: [2,1]", "def reverse(head: ListNode):\n    pass"),
    ],
)
def test_examples_that_are_no_tests(text, solution):
    assert examples_in(text, solution) is None


def test_values_as_the_examples_write_them():
    asked = examples_in('Input: s = "true, x = 1", flag = true, rest = null\nOutput: "a"', "def f(s, flag, rest): pass")
    assert asked.tests == "assert f('true, x = 1', True, None) == 'a'"
