"""Sections of a recipe that say where prompts and answers come from. The doc of a field is the string under it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, get_args

from pydantic import Field, PrivateAttr, model_validator

from datakit.recipe.section import (
    Columns,
    Endpoint,
    ExtraBody,
    Located,
    Name,
    Requests,
    Sampling,
    Section,
    Weights,
    Where,
    check_free,
    in_folder,
)
from datakit.recipe.template import PromptTemplate, RowTemplate, fill
from datakit.tables import Messages, canonical_json

OnBadRow = Literal["drop", "stop"] | None

Configs = Name | Annotated[list[Name], Field(min_length=1)] | None


class FilePrompts(Located):
    named_by: ClassVar = "path"

    type: Literal["file"]
    path: Name
    """JSON Lines, a JSON array, CSV, TSV (each also as .gz) or Parquet; several files by a pattern: data/*.jsonl."""
    columns: Columns = {}
    """Our name: the file's name. Ours are prompt or messages, prompt_id, reference, solution, test_style, entry_point,
    category, choices for domain mcq, knowledge for domain dialogue (the entities of a row, where no file has them all).
    A dot leads into a column of objects or a list: meta.question, tests.0. Of a list of names a prompt gets the texts one below
    the other, a reference an object with all of them, choices a list."""
    template: RowTemplate | None = None
    """The user's message, with {column} for what a column of the file holds; by default the prompt as it is. {choices} and
    {shuffled_choices} are the choices, one a line with its letter; {choices:(A) } writes the letters so."""
    where: Where = {}
    """Which rows are read, by columns of the file: {level: Level 5, subject: [algebra, geometry], date: {since: 2024-07-01,
    before: 2024-11-01}}."""
    on_bad_row: OnBadRow = None
    """A row that cannot be used is dropped and counted, or stops the build. By default what has nothing where something must be
    is dropped, and what is wrong stops the build."""

    def locate(self, folder: Path) -> None:
        self._location = in_folder(folder, self.path)


class HubPrompts(Located):
    named_by: ClassVar = "dataset"

    type: Literal["hub"]
    dataset: Name
    """A dataset's name on the hub, or a local folder, for `datasets.load_dataset`. A copy in $DATAKIT_DATA is read first."""
    config: Configs = None
    """The dataset's configuration, or several, one after the other."""
    split: Name = "train"
    """The dataset's split."""
    revision: str | None = None
    """The commit, tag or branch of the dataset."""
    columns: Columns = {}
    template: RowTemplate | None = None
    where: Where = {}
    on_bad_row: OnBadRow = None


PromptSource = Annotated[FilePrompts | HubPrompts, Field(discriminator="type")]


FinishReasons = list[Name]
Residue = Literal["keep", "strip", "drop"]
RESIDUE: tuple[Residue, ...] = get_args(Residue)
"""What is done with answers that have residue (tables/residue.py). strip: exports leave template tokens and role headers at
both ends of answers out, and empty thoughts; drop: answers with residue of any kind are neither chosen nor rejected."""
ForceReasoning = Annotated[bool, Field(strict=True)]


class Price(Section):
    input: Annotated[float, Field(strict=True, ge=0)] = 0.0
    """Per million tokens of prompts."""
    output: Annotated[float, Field(strict=True, ge=0)] = 0.0
    """Per million tokens of answers; both in whatever currency."""


PromptColumn = Literal["category", "source"]
OneOrMore = Field(min_length=1)
SamplingBy = Annotated[Mapping[PromptColumn, Annotated[Mapping[Name, Sampling], OneOrMore]], Field(max_length=1)]


class Sampled(Section):
    """What every source shares that answers prompts."""

    model: Name
    """The name that requests ask for; for `serve` a hub id or a model folder, for `local` a model folder (see `folder`)."""
    revision: Name | None = None
    """The model's commit, tag or branch; of a model folder by default a digest of its files. Part of a response's id."""
    n: Annotated[int, Field(strict=True, ge=0)] = 1
    """Independent samples a prompt. With a probe section 0: it gives no answers, and only reads texts."""
    system: str | None = None
    """A system prompt put in front of every prompt of this source."""
    template: PromptTemplate | None = None
    """What this source is asked in the place of what the user asks last, which {prompt} stands for."""
    prefill: Name | None = None
    """How every answer of this source begins: the server goes on behind it, and the stored text is both together."""
    sampling: Sampling = Sampling()
    """What requests say of sampling."""
    sampling_by: SamplingBy = {}
    """What is otherwise for some prompts: {category: {writing: {temperature: 0.7}}}, or {source: {FILE: {...}}} by where a
    prompt comes from. What it leaves out is as in sampling."""
    price: Price = Price()
    """What the model's tokens cost, for budgets and --dry-run."""
    complete: FinishReasons = []
    """Finish reasons of this server that mean that the model had ended, beside those that are documented to: [done]."""
    residue: Residue = "keep"
    """strip: exports leave template tokens at the ends of answers out; drop: answers with residue are not used."""
    force_reasoning: ForceReasoning = False
    """true: the chat template opens a thought, and the server leaves it in the text: then a text without the tag that ends it
    is a thought that never ended. Not for models that think only sometimes."""

    @property
    def requested_model(self) -> str:
        """The model's name in requests."""
        return self.model

    @property
    def settings(self) -> dict[str, Any]:
        """What a request says beside model, messages, n and seed."""
        return self.sampling.model_dump(exclude_none=True)

    @property
    def sent(self) -> dict[str, Any]:
        """Of the settings, those that reach the model, as the `sampling` column has them."""
        return self.settings

    @property
    def sampling_text(self) -> str:
        """The `sampling` column: the canonical JSON of everything but the messages, the model and n that shapes an answer."""
        settings = dict(self.sent)
        if self.system is not None:
            settings["system"] = self.system
        if self.template is not None:
            settings["template"] = self.template
        if self.prefill is not None:
            settings["prefill"] = self.prefill
        return canonical_json(settings)

    def asked(self, messages: Messages) -> Messages:
        """What this source is asked for a prompt: its system prompt in front, its template around what the user asks last."""
        if self.template is not None:
            *before, last = messages
            messages = [*before, {"role": last["role"], "content": fill(self.template, {"prompt": last["content"]})}]
        return messages if self.system is None else [{"role": "system", "content": self.system}, *messages]

    @property
    def ways(self) -> list[Way]:
        """The ways in which this source is asked, the usual one first; one for all prompts where there is no sampling_by."""
        if not self.sampling_by:
            return [Way(self)]
        ((column, by_value),) = self.sampling_by.items()
        usual = self.model_copy(update={"sampling_by": {}})
        texts: dict[str, tuple[Sampled, list[str]]] = {usual.sampling_text: (usual, [])}
        for value, sampling in by_value.items():
            fields = {name: getattr(sampling, name) for name in sampling.model_fields_set}
            source = usual.model_copy(update={"sampling": self.sampling.model_copy(update=fields)})
            texts.setdefault(source.sampling_text, (source, []))[1].append(value)
        texts.pop(usual.sampling_text)
        otherwise = [value for _, values in texts.values() for value in values]
        return [Way(usual, column, otherwise, others=True), *(Way(source, column, some) for source, some in texts.values())]


class Way(NamedTuple):
    """One of the ways in which a source is asked, and the prompts that are asked so."""

    source: Sampled
    """With this way's sampling alone."""
    column: PromptColumn | None = None
    values: list[str] = []
    others: bool = False

    @property
    def asks(self) -> dict[str, Any] | None:
        """As the table of sources has it."""
        return None if self.column is None else {"column": self.column, "values": self.values, "others": self.others}


class BatchOptions(Section):
    """With `request: batch`: what the vendor's batch interface takes. The defaults are OpenAI's."""

    max_lines: Annotated[int, Field(strict=True, ge=1)] = 50_000
    """Lines of one file, and so requests of one batch."""
    max_mb: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] = 200.0
    """Megabytes (10^6 bytes) of one file."""
    window: Name = "24h"
    """The batch's completion_window. Lines that are not answered by then expire; the next build asks for them again."""
    url: Annotated[str, Field(pattern="^/")] = "/v1/chat/completions"
    """The path of a line's request, which is the batch's `endpoint`, too."""
    poll_s: Annotated[float, Field(strict=True, gt=0)] = 60.0
    """Seconds between two looks at batches that run."""


class Requested(Sampled, Requests):
    """What the two kinds of source that answer requests share."""

    request: Literal["n", "single", "auto", "batch"] = "auto"
    """n: one request asks for all samples; single: one request a sample; auto: n until a server is seen to ignore it.
    batch (endpoint only): one line a sample, in files that go through the vendor's batch interface."""
    tokenizer: Name | None = None
    """Where its tokenizer.json is, for `probe`: a folder, or a repository of the hub (owner/name@revision). By default the
    model's own."""
    extra_body: ExtraBody = {}
    """Further request fields: repetition_penalty, top_k, chat_template_kwargs, ..."""

    @model_validator(mode="after")
    def _own_fields(self) -> Requested:
        check_free(self.extra_body)
        return self

    @property
    def settings(self) -> dict[str, Any]:
        return super().settings | self.extra_body

    @property
    def sent(self) -> dict[str, Any]:
        sampling, extra = map(self.without_omitted, (super().settings, self.extra_body))
        return {**sampling, "extra_body": extra} if extra else sampling


class EndpointSource(Requested, Endpoint):
    type: Literal["endpoint"]
    batch: BatchOptions = BatchOptions()
    """With request: batch."""

    @model_validator(mode="after")
    def _one_vendor(self) -> EndpointSource:
        if self.request == "batch" and len(self.base_urls) > 1:
            raise ValueError("request: batch uses the files and batches of one server: give one of the base_urls")
        return self


class ServeSource(Requested, Weights):
    type: Literal["serve"]
    engine: Literal["transformers", "vllm"]
    """transformers: `transformers serve` of the `local` extra; vllm: a vLLM installation."""
    python: str | None = None
    """Another environment's Python interpreter, where the engine is installed there."""
    dtype: Name | None = None
    """The server's --dtype: bfloat16, float32, auto, ...; by default its own choice."""
    tensor_parallel_size: Annotated[int, Field(strict=True, ge=1)] | None = None
    """vLLM: over how many GPUs one copy of the model is spread."""
    args: list[str] = []
    """More command-line arguments for the server."""
    env: dict[str, str] = {}
    """Environment variables of the server: {CUDA_VISIBLE_DEVICES: '0,1'}. They are in recipe.json: no secrets here."""
    pass_env: list[Name] = []
    """Names of variables of yours that the server gets although they look like secrets: [HF_TOKEN]. Others it does not get."""
    together: Annotated[bool, Field(strict=True)] = True
    """true: runs beside the other servers. false: runs alone, after them: start, sample, stop, then the next such source."""
    restarts: Annotated[int, Field(strict=True, ge=0)] = 2
    """How often a server that dies while it is sampled from is started again."""
    start_timeout_s: Annotated[float, Field(strict=True, gt=0)] = 600.0
    """How long the server may take until it answers."""

    @model_validator(mode="after")
    def _can_prefill(self) -> ServeSource:
        if self.prefill is not None and self.engine == "transformers":
            raise ValueError("prefill: `transformers serve` cannot go on with an answer that was begun; use engine: vllm")
        return self

    _interpreter: Path | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _no_batches(self) -> ServeSource:
        if self.request == "batch":
            raise ValueError("request: batch is for endpoints; for vllm run-batch see: datakit batch write")
        return self

    @property
    def requested_model(self) -> str:
        """The folder, or the hub id (with its revision for transformers)."""
        if self.location is not None:
            return str(self.location)
        return f"{self.model}@{self.revision}" if self.engine == "transformers" and self.revision else self.model

    @property
    def interpreter(self) -> Path | None:
        """The path of `python`, not resolved: the interpreter of a virtual environment is a link."""
        return self._interpreter

    def locate(self, folder: Path) -> None:
        super().locate(folder)
        self._interpreter = folder / Path(self.python).expanduser() if self.python else None


class LocalSampling(Sampling):
    """What is left out has no effect: without a temperature it is 1, whatever the model's generation_config.json says."""

    top_k: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Only so many of the likeliest tokens; of them top_p takes its share."""


class LocalSource(Sampled, Weights):
    type: Literal["local"]
    sampling: LocalSampling = LocalSampling()
    sampling_by: Annotated[Mapping[PromptColumn, Annotated[Mapping[Name, LocalSampling], OneOrMore]], Field(max_length=1)] = {}
    dtype: Literal["float16", "bfloat16", "float32", "float64"] | None = None
    """What is computed in; by default the checkpoint's own on a GPU, float32 on a CPU."""
    devices: list[Name] = []
    """[cuda:0, cuda:1], [cpu, cpu], ...: a worker each. By default one on every GPU; where there is none, one on the CPU for
    each core if the model is small, else one with all cores."""
    batch_size: Annotated[int, Field(strict=True, ge=1)] = 256
    """Samples that are generated together by a worker; halved where its memory does not suffice."""


class ResponsesSource(Located):
    type: Literal["responses"]
    path: str | None = None
    dataset: str | None = None
    config: Configs = None
    split: Name = "train"
    revision: str | None = None
    columns: Columns = {}
    """Our name: the file's name. Ours are text, model, sample_index, prompt_id, prompt or messages, reference, score, ..."""
    template: RowTemplate | None = None
    """As of a file of prompts, for the prompts that the rows bring."""
    where: Where = {}
    on_bad_row: OnBadRow = None
    model: Name | None = None
    """The source model, where all rows come from one and no column says it."""
    complete: FinishReasons = []
    """Values of `finish_reason` that mean that the answer is complete, beside those that are documented to: [done]."""
    residue: Residue = "keep"
    force_reasoning: ForceReasoning = False
    """true: every text begins within a thought, and one without the tag that ends it is a thought that never ended."""
    judge: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/-]*$")] | None = None
    """Who gave the column `score`; these scores are imported under this name, with the file's digest as its version."""

    @property
    def name(self) -> str:
        return self.path or self.dataset or ""

    def locate(self, folder: Path) -> None:
        super().locate(folder)
        if self.path is not None:
            self._location = in_folder(folder, self.path)

    @model_validator(mode="after")
    def _one_place(self) -> ResponsesSource:
        if (self.path is None) == (self.dataset is None):
            raise ValueError("a responses source has either path or dataset")
        if self.judge is None and "score" in self.columns:
            raise ValueError("columns.score needs a name for who gave the scores: judge: NAME")
        if self.judge == "mean_rank":
            raise ValueError("judge: 'mean_rank' means all judges in select.judge; give another name")
        return self


Source = Annotated[EndpointSource | ServeSource | LocalSource | ResponsesSource, Field(discriminator="type")]
