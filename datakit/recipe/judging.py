"""Judges that are chat models with a prompt of their own: they see two answers, or grade one. The doc of a field is the string
under it."""

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
"""What templates may name; several names of one thing, for published prompts have them."""


class JudgePrompt(Section):
    """What a judge is asked, with names in braces.

    {prompt}, {question} or {instruction} is what the user asked last; {conversation} has all turns before the answer;
    {category} and {reference} (or {ref_answer_1}) are the prompt's. Of two answers: {answer_a} and {answer_b}, {answer_1} and
    {answer_2}, or {output_1} and {output_2}. Of one: {answer}; in a second turn {question_1}, {answer_1}, {question_2} and
    {answer_2}.
    """

    system: Name | None = None
    template: Name
    """The user's message."""
    published: Name | None = None
    """A file below $DATAKIT_DATA that has the prompt as its authors publish it, PATH or PATH#NAME. Where there is such a copy,
    the judge is asked that instead."""

    def check(self, *needed: tuple[str, ...]) -> None:
        """ValueError where it names what there is not, or none of what must be there."""
        named = {name for name, _ in placeholders(self.template)}
        known = {*QUESTIONS, *REFERENCES, *(name for names in needed for name in names)}
        if unknown := sorted(named - known):
            raise ValueError(f"template: there is no {{{unknown[0]}}}; known are {', '.join(sorted(known))}")
        for names in needed:
            if not named & set(names):
                raise ValueError(f"template: it needs {{{names[0]}}} in it, an answer that is judged")


class ChatJudge(RemoteReward):
    """What both kinds share."""

    repeats: ClassVar = False

    prompt: JudgePrompt | None = None
    """What the judge is asked; by default a prompt of ours. Its hash is part of the judge's name."""
    with_reference: JudgePrompt | None = None
    """What it is asked instead of a prompt that has a reference."""
    sampling: JudgeSampling = JudgeSampling()
    extra_body: ExtraBody = {}
    """Further request fields: chat_template_kwargs, top_k, ..."""
    price: Price = Price()
    """What the judge's tokens cost, for budgets and --dry-run."""

    def check_prompts(self, *needed: tuple[str, ...]) -> None:
        """ValueError where one of the prompts cannot be used."""
        check_free(self.extra_body)
        for one in (self.prompt, self.with_reference):
            if one is not None:
                one.check(*needed)


class Pairwise(ChatJudge):
    """A chat model that sees two answers to a prompt and says which is better. Without `against` they are two of one source,
    and an answer's score is the share of its comparisons that it wins."""

    type: Literal["pairwise"]
    rubric: Name | None = None
    """In the prompt of ours: what makes an answer good, in words; by default one of general helpfulness."""
    verdict: Literal["grades", "token"] = "grades"
    """grades: the judgement ends with one of [[A>>B]], [[A>B]], [[A=B]], [[B>A]], [[B>>A]] (Arena-Hard's). token: it is one
    token, and the preference is the probability of one label over that of both (AlpacaEval's)."""
    labels: Annotated[list[Name], Field(min_length=2, max_length=2)] = ["m", "M"]
    """With verdict: token, the tokens for the first and the second answer."""
    orders: Literal["both", "random"] = "both"
    """both: every two answers are shown in both orders, two judgements. random: in one of them, by hash."""
    against: Annotated[int, Field(strict=True, ge=0)] | None = None
    """The number of the source, from 0, whose answers those of all others are compared with: a baseline. null: the answers of
    one source and prompt are compared with each other."""

    @model_validator(mode="after")
    def _consistent(self) -> Pairwise:
        self.check_prompts(FIRST, SECOND)
        if self.labels[0] == self.labels[1]:
            raise ValueError(f"labels must be two different tokens, got {self.labels}")
        if self.verdict == "token" and self.prompt is None:
            raise ValueError("verdict: token needs a prompt that asks for one of the labels and nothing else")
        if self.rubric is not None and self.prompt is not None:
            raise ValueError("a rubric goes into the prompt of ours; put it into your own, or leave that out")
        return self


class Grade(ChatJudge):
    """A chat model that grades one answer with a prompt of its own, beside a reference where there is one. For a rubric alone
    `llm_judge` is enough."""

    type: Literal["grade"]
    prompt: JudgePrompt
    verdict: Literal["brackets", "dictionary"] = "brackets"
    """brackets: the judgement has [[N]], as MT-Bench's; of several the first counts. dictionary: it ends with
    {..., 'total': N}, as AlignBench's."""
    total: Name = "综合得分"
    """With verdict: dictionary, the key of the grade."""
    scale: Annotated[list[Annotated[float, Field(strict=True, allow_inf_nan=False)]], Field(min_length=2, max_length=2)] = [
        1,
        10,
    ]
    """[worst, best], both included; a grade outside is none."""

    @model_validator(mode="after")
    def _consistent(self) -> Grade:
        self.check_prompts(GRADED)
        if not self.scale[0] < self.scale[1]:
            raise ValueError(f"scale must be [worst, best] with worst below best, got {self.scale}")
        return self


RewardSection = Annotated[ArmoRM | Classifier | Served | LLMJudge | Pairwise | Grade | EntityF1, Field(discriminator="type")]
