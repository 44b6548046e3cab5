"""Recipes: one YAML file -> one frozen Recipe. Each section has a file of its own here."""

from datakit.recipe.curate import Against, Curate
from datakit.recipe.export import Export
from datakit.recipe.files import resolve
from datakit.recipe.judging import ChatJudge, Grade, JudgePrompt, Pairwise
from datakit.recipe.probe import Probe
from datakit.recipe.recipe import Budget, Limits, Recipe, assign, digest, load, parse
from datakit.recipe.rewards import ArmoRM, Classifier, EntityF1, LLMJudge, LocalReward, RemoteReward, Reward, Served
from datakit.recipe.select import MEAN_RANK, Quantiles, Select, spell_end
from datakit.recipe.sources import (
    BatchOptions,
    EndpointSource,
    FilePrompts,
    HubPrompts,
    LocalSource,
    Price,
    Requested,
    ResponsesSource,
    Sampled,
    ServeSource,
    Source,
    Way,
)
from datakit.recipe.verify import Unverified, Verify, VerifyCode, VerifyDialogue, VerifyMath, VerifyMcq

__all__ = [
    "MEAN_RANK",
    "Against",
    "ArmoRM",
    "BatchOptions",
    "Budget",
    "ChatJudge",
    "Classifier",
    "Curate",
    "EndpointSource",
    "EntityF1",
    "Export",
    "FilePrompts",
    "Grade",
    "HubPrompts",
    "JudgePrompt",
    "LLMJudge",
    "Limits",
    "LocalReward",
    "LocalSource",
    "Pairwise",
    "Price",
    "Probe",
    "Quantiles",
    "Recipe",
    "RemoteReward",
    "Requested",
    "ResponsesSource",
    "Reward",
    "Sampled",
    "Select",
    "ServeSource",
    "Served",
    "Source",
    "Unverified",
    "Verify",
    "VerifyCode",
    "VerifyDialogue",
    "VerifyMath",
    "VerifyMcq",
    "Way",
    "assign",
    "digest",
    "load",
    "parse",
    "resolve",
    "spell_end",
]
