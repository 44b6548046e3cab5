"""Sections of a recipe that say which reward models score the answers. The doc of a field is the string under it."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from datakit.errors import Origin
from datakit.recipe.section import Endpoint, ExtraBody, Name, Sampling, Section, Weights, check_free


class LocalReward(Weights):
    """What reward models that run on this machine share."""

    shaping: ClassVar[tuple[str, ...]] = ("dtype", "exact", "max_tokens", "truncate")
    """Fields that change scores: where one is not at its default, the judge's name says so."""
    largest_margin: ClassVar[float | None] = None
    """For scores with a scale of their own: a margin window up to here is meant for them."""
    tolerance: ClassVar[float] = 1e-5
    """How far a score in float32 may be from what it must be, times max(1, the score). A logit is a sum of larger terms."""

    type: str
    model: Name
    """A hub id or a model folder."""
    revision: Name | None = None
    """The commit on the hub: scores of different revisions do not mix. A folder's revision is made from its files."""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Of the backbone; what stands on it (heads, gate) is always float32."""
    exact: Annotated[bool, Field(strict=True)] = False
    """Score one conversation at a time. In float32 a score is the same in any company; in bfloat16 it moves a little."""
    max_tokens: Annotated[int, Field(strict=True, ge=16)] | None = None
    """The longest conversation, in tokens; by default as many as the model has positions."""
    truncate: Literal["never", "left"] = "never"
    """never: a longer conversation is a failure. left: its oldest tokens are cut (scores.n_tokens_cut says how many); the
    last assistant header and the answer behind it are always whole."""
    devices: list[Name] = []
    """One worker each: [cuda:0, cuda:1]. By default every GPU there is, else [cpu]. May change between runs."""
    batch_tokens: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Tokens of a batch, padding included; by default 16384 on a GPU, on a CPU 2048, or fewer where the model is wide. Halved
    where memory does not suffice."""

    @field_validator("devices")
    @classmethod
    def _named_as_torch_does(cls, devices: list[str]) -> list[str]:
        for name in devices:
            if not re.fullmatch(r"(cpu|cuda|mps|xpu|npu|hpu)(:\d+)?", name):
                raise ValueError(f"no device is called {name!r}; give cpu, cuda:0, cuda:1, mps, ...")
        return devices

    @property
    def stores_objectives(self) -> bool:
        """Whether the scores of the objectives behind a score are wanted, too."""
        return False


class ArmoRM(LocalReward):
    largest_margin: ClassVar = 0.2  # its best and worst answers differ by some 0.01 to 0.1
    tolerance: ClassVar = 1e-6

    type: Literal["armorm"]
    objectives: Annotated[bool, Field(strict=True)] = False
    """Store the 19 objectives' rewards beside the score, of answers that are scored from then on."""

    @property
    def stores_objectives(self) -> bool:
        return self.objectives


class Classifier(LocalReward):
    """A sequence classifier of transformers with one label: Skywork-Reward-V2 and kin. Its scores are unbounded logits."""

    type: Literal["classifier"]


class RemoteReward(Endpoint):
    """What reward models behind URLs share."""

    shaping: ClassVar[tuple[str, ...]] = ()
    """As LocalReward's."""
    repeats: ClassVar[bool] = True
    """Whether it gives the same score when it is asked again."""

    type: str
    model: Name
    """The name that requests ask for."""
    revision: Name | None = None
    """What the server runs, where you know it: the model's commit. The judge's name has it, and scores do not mix."""

    _origin: Origin = PrivateAttr(Origin.of_section("score"))


class Served(RemoteReward):
    """A sequence classifier with one label behind a URL: vLLM's /classify or /pooling, which stand beside its /v1.

    A conversation is written by the server's own chat template, and its score is the raw logit (the activation is off).
    """

    shaping: ClassVar = ("add_special_tokens",)

    type: Literal["served"]
    revision: Name
    """What the server runs: the model's commit. The judge's name has it, for scores of different revisions do not mix."""
    api: Literal["classify", "pooling"] = "classify"
    """Which of vLLM's paths is asked: /classify or /pooling."""
    add_special_tokens: Annotated[bool, Field(strict=True)] = False
    """Have the tokenizer write the token of the beginning, where the chat template does not (where it does, there are two)."""
    no_activation: Annotated[bool, Field(strict=True)] = False
    """The model's head has no activation at all, so a server that cannot switch it off is not suspected of one."""


class JudgeSampling(Sampling):
    temperature: Annotated[float, Field(strict=True, ge=0)] | None = 0.0
    max_tokens: Annotated[int, Field(strict=True, ge=1)] | None = 1024


class LLMJudge(RemoteReward):
    """A chat model that grades one answer at a time by a rubric, and ends with `Score: N` on a line of its own."""

    repeats: ClassVar = False

    type: Literal["llm_judge"]
    rubric: Annotated[str, Field(min_length=1)] | None = None
    """What makes an answer good, in words; by default one of general helpfulness. Its hash is part of the judge's name."""
    rubric_path: Name | None = None
    """The file that has the rubric instead."""
    scale: Annotated[list[Annotated[float, Field(strict=True, allow_inf_nan=False)]], Field(min_length=2, max_length=2)] = [
        1,
        10,
    ]
    """[worst, best], both included; a score outside is none."""
    sampling: JudgeSampling = JudgeSampling()
    extra_body: ExtraBody = {}
    """Further request fields: chat_template_kwargs, top_k, ..."""

    @model_validator(mode="after")
    def _consistent(self) -> LLMJudge:
        check_free(self.extra_body)
        if self.rubric is not None and self.rubric_path is not None:
            raise ValueError("a judge has either rubric or rubric_path")
        if not self.scale[0] < self.scale[1]:
            raise ValueError(f"scale must be [worst, best] with worst below best, got {self.scale}")
        return self


class EntityF1(Section):
    """Domain dialogue: the F1 of an answer's values of the knowledge base, of those that the verifier has found. No model."""

    type: Literal["entity_f1"]
    revision: Name | None = None
    """The verifier's of the knowledge base; a build sets it."""


Reward = LocalReward | RemoteReward | EntityF1
