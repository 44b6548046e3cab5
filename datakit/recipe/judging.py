"""Judges that are chat models with a prompt of their own: they compare two answers, or grade one. The doc of a field is the
string under it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from datakit.recipe.rewards import ArmoRM, Classifier, EntityF1, JudgeSampling, LLMJudge, RemoteReward, Served
from datakit.recipe.section import ExtraBody, Name, Section, check_free
from datakit.recipe.sources import Price
from datakit.recipe.template import placeholders

FIRST = ("answer_a", "answer_1", "output_1")
SECOND = ("answer_b", "answer_2", "output_2")
GRADED = ("answer", "answer_1", "answer_2")
QUESTIONS = ("prompt", "question", "instruction", "question_1", "question_2", "conversation", "category")
REFERENCES = ("reference", "ref_answer_1", "ref_answer_2")
"""The placeholders of templates. Some have several names, because published prompts use different ones."""


class JudgePrompt(Section):
    """The prompt of a judge, with placeholders in braces.

    {prompt}, {question} or {instruction} is the user's last message; {conversation} is all turns before the answer;
    {category} and {reference} (or {ref_answer_1}) are the prompt's. For two answers: {answer_a} and {answer_b}, {answer_1} and
    {answer_2}, or {output_1} and {output_2}. For one answer: {answer}; in a second turn {question_1}, {answer_1}, {question_2}
    and {answer_2}.
    """

    system: Name | None = None
    template: Name
    """The user's message."""
    published: Name | None = None
    """A file below $DATAKIT_DATA with the prompt as its authors publish it, PATH or PATH#NAME. If the file exists, its prompt
    is used instead."""

    def check(self, *needed: tuple[str, ...]) -> None:
        """Raise ValueError if the template has an unknown placeholder, or none of a needed group."""
        named = {name for name, _ in placeholders(self.template)}
        known = {*QUESTIONS, *REFERENCES, *(name for names in needed for name in names)}
        if unknown := sorted(named - known):
            raise ValueError(f"template: there is no {{{unknown[0]}}}; known are {', '.join(sorted(known))}")
        for names in needed:
            if not named & set(names):
                raise ValueError(f"template: it must contain {{{names[0]}}}, an answer to judge")


class ChatJudge(RemoteReward):
    """The fields that both kinds share."""

    repeats: ClassVar = False

    prompt: JudgePrompt | None = None
    """The judge's prompt; by default a built-in one. Its hash is part of the judge's name."""
    with_reference: JudgePrompt | None = None
    """The prompt that is used instead if the question has a reference."""
    sampling: JudgeSampling = JudgeSampling()
    extra_body: ExtraBody = {}
    """More request fields: chat_template_kwargs, top_k, ..."""
    price: Price = Price()
    """The price of the judge's tokens, for budgets and --dry-run."""

    def check_prompts(self, *needed: tuple[str, ...]) -> None:
        """Raise ValueError if one of the prompts cannot be used."""
        check_free(self.extra_body)
        for one in (self.prompt, self.with_reference):
            if one is not None:
                one.check(*needed)


class Pairwise(ChatJudge):
    """A chat model that sees two answers to a prompt and says which is better. Without `against` both answers come from one
    source, and an answer's score is the share of its comparisons that it wins."""

    type: Literal["pairwise"]
    rubric: Name | None = None
    """What makes an answer good, in words, for the built-in prompt; by default general helpfulness."""
    verdict: Literal["grades", "token"] = "grades"
    """grades: the judgement ends with one of [[A>>B]], [[A>B]], [[A=B]], [[B>A]], [[B>>A]] (as in Arena-Hard). token: it is one
    token, and the preference is the probability of one label divided by that of both (as in AlpacaEval)."""
    labels: Annotated[list[Name], Field(min_length=2, max_length=2)] = ["m", "M"]
    """With verdict: token, the tokens for the first and the second answer."""
    orders: Literal["both", "random"] = "both"
    """both: two judgements per pair of answers, one in each order. random: one judgement, in an order chosen by hash."""
    against: Annotated[int, Field(strict=True, ge=0)] | None = None
    """The index (from 0) of the baseline source, whose answers those of all others are compared with. null: the answers of one
    source to a prompt are compared with each other."""

    @model_validator(mode="after")
    def _consistent(self) -> Pairwise:
        self.check_prompts(FIRST, SECOND)
        if self.labels[0] == self.labels[1]:
            raise ValueError(f"labels must be two different tokens, got {self.labels}")
        if self.verdict == "token" and self.prompt is None:
            raise ValueError("verdict: token needs a prompt that asks for one of the labels and nothing else")
        if self.rubric is not None and self.prompt is not None:
            raise ValueError("rubric is for the built-in prompt; write it into your own prompt, or leave prompt out")
        return self


class Grade(ChatJudge):
    """A chat model that grades one answer with a prompt of its own, and a reference if there is one. If a rubric is all you
    need, use `llm_judge`."""

    type: Literal["grade"]
    prompt: JudgePrompt
    verdict: Literal["brackets", "dictionary"] = "brackets"
    """brackets: the judgement contains [[N]], as in MT-Bench; the first one counts. dictionary: it ends with {..., 'total': N},
    as in AlignBench."""
    total: Name = "综合得分"
    """The key of the grade, with verdict: dictionary."""
    scale: Annotated[list[Annotated[float, Field(strict=True, allow_inf_nan=False)]], Field(min_length=2, max_length=2)] = [
        1,
        10,
    ]
    """[worst, best], both included; a grade outside is not accepted."""

    @model_validator(mode="after")
    def _consistent(self) -> Grade:
        self.check_prompts(GRADED)
        if not self.scale[0] < self.scale[1]:
            raise ValueError(f"scale must be [worst, best] with worst below best, got {self.scale}")
        return self


RewardSection = Annotated[ArmoRM | Classifier | Served | LLMJudge | Pairwise | Grade | EntityF1, Field(discriminator="type")]
