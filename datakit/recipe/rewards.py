"""The sections of a recipe that say which reward models score the answers. The doc of a field is the string under it."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from datakit.errors import Origin
from datakit.recipe.section import Endpoint, ExtraBody, Name, Sampling, Section, Weights, check_free


class LocalReward(Weights):
    """The fields that reward models on this machine share."""

    shaping: ClassVar[tuple[str, ...]] = ("dtype", "exact", "max_tokens", "truncate")
    """The fields that change scores: the judge's name contains those that are not at their default."""
    largest_margin: ClassVar[float | None] = None
    """For scores with a fixed scale: the largest margin of a window that is meant for them."""
    tolerance: ClassVar[float] = 1e-5
    """How far a score in float32 may be from the expected one, times max(1, the score). A logit is a sum of larger terms."""

    type: str
    model: Name
    """A hub id or a model folder."""
    revision: Name | None = None
    """The commit on the hub; scores of different revisions are not mixed. A folder's revision is a digest of its files."""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """The dtype of the backbone; the layers on top of it (heads, gate) are always float32."""
    exact: Annotated[bool, Field(strict=True)] = False
    """Score one conversation at a time. In float32 a score does not depend on its batch; in bfloat16 it does, slightly."""
    max_tokens: Annotated[int, Field(strict=True, ge=16)] | None = None
    """The longest conversation, in tokens; by default the number of the model's positions."""
    truncate: Literal["never", "left"] = "never"
    """never: a longer conversation is a failure. left: its oldest tokens are cut (scores.n_tokens_cut says how many); the last
    assistant header and the answer after it are always kept whole."""
    devices: list[Name] = []
    """One worker per device: [cuda:0, cuda:1]. By default all GPUs, or [cpu] if there is none. May change between runs."""
    batch_tokens: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Tokens per batch, padding included; by default 16384 on a GPU and 2048 on a CPU, fewer for a wide model. Halved if memory
    runs out."""

    @field_validator("devices")
    @classmethod
    def _named_as_torch_does(cls, devices: list[str]) -> list[str]:
        for name in devices:
            if not re.fullmatch(r"(cpu|cuda|mps|xpu|npu|hpu)(:\d+)?", name):
                raise ValueError(f"unknown device {name!r}; give cpu, cuda:0, cuda:1, mps, ...")
        return devices

    @property
    def stores_objectives(self) -> bool:
        """True if the scores of the objectives behind a score are wanted too."""
        return False


class ArmoRM(LocalReward):
    largest_margin: ClassVar = 0.2  # its best and worst answers differ by some 0.01 to 0.1
    tolerance: ClassVar = 1e-6

    type: Literal["armorm"]
    objectives: Annotated[bool, Field(strict=True)] = False
    """Store the rewards of the 19 objectives beside the score, for answers that are scored from now on."""

    @property
    def stores_objectives(self) -> bool:
        return self.objectives


class Classifier(LocalReward):
    """A sequence classifier of transformers with one label, such as Skywork-Reward-V2. Its scores are unbounded logits."""

    type: Literal["classifier"]


class RemoteReward(Endpoint):
    """The fields that reward models behind URLs share."""

    shaping: ClassVar[tuple[str, ...]] = ()
    """As for LocalReward."""
    repeats: ClassVar[bool] = True
    """True if it returns the same score when it is asked again."""

    type: str
    model: Name
    """The name that requests ask for."""
    revision: Name | None = None
    """The model's commit on the server, if you know it. It is part of the judge's name; scores of different ones are not
    mixed."""

    _origin: Origin = PrivateAttr(Origin.of_section("score"))


class Served(RemoteReward):
    """A sequence classifier with one label behind a URL: vLLM's /classify or /pooling, beside its /v1.

    Conversations are formatted by the server's own chat template; the score is the raw logit (without activation).
    """

    shaping: ClassVar = ("add_special_tokens",)

    type: Literal["served"]
    revision: Name
    """The model's commit on the server. It is part of the judge's name, so scores of different revisions are not mixed."""
    api: Literal["classify", "pooling"] = "classify"
    """The path of vLLM that requests go to: /classify or /pooling."""
    add_special_tokens: Annotated[bool, Field(strict=True)] = False
    """Let the tokenizer add the beginning-of-text token, for a chat template that does not (if it does, there are two)."""
    no_activation: Annotated[bool, Field(strict=True)] = False
    """The model's head has no activation, so a server that cannot switch it off is accepted."""


class JudgeSampling(Sampling):
    temperature: Annotated[float, Field(strict=True, ge=0)] | None = 0.0
    max_tokens: Annotated[int, Field(strict=True, ge=1)] | None = 1024


class LLMJudge(RemoteReward):
    """A chat model that grades one answer at a time by a rubric and ends with `Score: N` on a line of its own."""

    repeats: ClassVar = False

    type: Literal["llm_judge"]
    rubric: Annotated[str, Field(min_length=1)] | None = None
    """What makes an answer good, in words; by default general helpfulness. Its hash is part of the judge's name."""
    rubric_path: Name | None = None
    """A file with the rubric, instead of rubric."""
    scale: Annotated[list[Annotated[float, Field(strict=True, allow_inf_nan=False)]], Field(min_length=2, max_length=2)] = [
        1,
        10,
    ]
    """[worst, best], both included; a score outside is not accepted."""
    sampling: JudgeSampling = JudgeSampling()
    extra_body: ExtraBody = {}
    """More request fields: chat_template_kwargs, top_k, ..."""

    @model_validator(mode="after")
    def _consistent(self) -> LLMJudge:
        check_free(self.extra_body)
        if self.rubric is not None and self.rubric_path is not None:
            raise ValueError("a judge has either rubric or rubric_path")
        if not self.scale[0] < self.scale[1]:
            raise ValueError(f"scale must be [worst, best] with worst below best, got {self.scale}")
        return self


class EntityF1(Section):
    """Domain dialogue: the F1 of the knowledge-base values that the verifier has found in an answer. Needs no model."""

    type: Literal["entity_f1"]
    revision: Name | None = None
    """The verifier's revision of the knowledge base; a build sets it."""


Reward = LocalReward | RemoteReward | EntityF1
