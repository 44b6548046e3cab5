"""The sections of a recipe that say where prompts and answers come from. The doc of a field is the string under it."""

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
    """A file of JSON Lines, a JSON array, CSV, TSV (each also as .gz) or Parquet; or a pattern: data/*.jsonl."""
    columns: Columns = {}
    """Our name: the file's name. Our names are prompt or messages, prompt_id, reference, solution, test_style, entry_point,
    category, choices for domain mcq, knowledge for domain dialogue (the entities of a row, if there is no file of all). A dot
    leads into a column of objects or a list: meta.question, tests.0. With a list of names, prompt gets their texts one below
    the other, reference an object of them, choices a list."""
    template: RowTemplate | None = None
    """The user's message, with {column} for a column of the file; by default the prompt alone. {choices} and {shuffled_choices}
    are the choices, one per line with its letter; {choices:(A) } sets how the letters are written."""
    where: Where = {}
    """The rows that are read, by columns of the file: {level: Level 5, subject: [algebra, geometry], date: {since: 2024-07-01,
    before: 2024-11-01}}."""
    on_bad_row: OnBadRow = None
    """Whether a row that cannot be used is dropped and counted, or stops the build. By default a row that lacks a needed value
    is dropped, and a row with a wrong value stops the build."""

    def locate(self, folder: Path) -> None:
        self._location = in_folder(folder, self.path)


class HubPrompts(Located):
    named_by: ClassVar = "dataset"

    type: Literal["hub"]
    dataset: Name
    """The name of a dataset on the hub, or a local folder, for `datasets.load_dataset`. A copy in $DATAKIT_DATA is
    preferred."""
    config: Configs = None
    """The dataset's configuration, or several, which are read in order."""
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
"""What is done with answers that have residue (tables/residue.py). strip: exports remove template tokens and role headers at
both ends of answers, and empty thoughts; drop: answers with residue of any kind are neither chosen nor rejected."""
ForceReasoning = Annotated[bool, Field(strict=True)]


class Price(Section):
    input: Annotated[float, Field(strict=True, ge=0)] = 0.0
    """The price per million prompt tokens."""
    output: Annotated[float, Field(strict=True, ge=0)] = 0.0
    """The price per million tokens of answers; both in any one currency."""


PromptColumn = Literal["category", "source"]
OneOrMore = Field(min_length=1)
SamplingBy = Annotated[Mapping[PromptColumn, Annotated[Mapping[Name, Sampling], OneOrMore]], Field(max_length=1)]


class Sampled(Section):
    """The fields that all sources that answer prompts share."""

    model: Name
    """The model's name in requests; for `serve` a hub id or a model folder, for `local` a model folder (see `folder`)."""
    revision: Name | None = None
    """The model's commit, tag or branch; for a model folder by default a digest of its files. It is part of a response's id."""
    n: Annotated[int, Field(strict=True, ge=0)] = 1
    """Independent samples per prompt. 0 (with a probe section): the source only reads texts and gives no answers."""
    system: str | None = None
    """A system prompt that is put in front of every prompt of this source."""
    template: PromptTemplate | None = None
    """The text that replaces the user's last message for this source; {prompt} is that message."""
    prefill: Name | None = None
    """The beginning of every answer of this source: the server continues it, and both together are stored."""
    sampling: Sampling = Sampling()
    """The sampling fields of requests."""
    sampling_by: SamplingBy = {}
    """Different sampling for some prompts: {category: {writing: {temperature: 0.7}}}, or {source: {FILE: {...}}} by the origin
    of a prompt. Fields that it leaves out are as in sampling."""
    price: Price = Price()
    """The price of the model's tokens, for budgets and --dry-run."""
    complete: FinishReasons = []
    """Finish reasons by which this server says that an answer is complete, beside the documented ones: [done]."""
    residue: Residue = "keep"
    """strip: exports remove template tokens at the ends of answers; drop: answers with residue are not used."""
    force_reasoning: ForceReasoning = False
    """true: the chat template opens a thought, and the server leaves the thought in the text, so a text without the closing tag
    is a thought that never ended. Do not use it for models that think only sometimes."""

    @property
    def requested_model(self) -> str:
        """The model's name in requests."""
        return self.model

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of a request beside model, messages, n and seed."""
        return self.sampling.model_dump(exclude_none=True)

    @property
    def sent(self) -> dict[str, Any]:
        """The settings that reach the model, as in the `sampling` column."""
        return self.settings

    @property
    def sampling_text(self) -> str:
        """The `sampling` column: canonical JSON of everything that shapes an answer except the messages, the model and n."""
        settings = dict(self.sent)
        if self.system is not None:
            settings["system"] = self.system
        if self.template is not None:
            settings["template"] = self.template
        if self.prefill is not None:
            settings["prefill"] = self.prefill
        return canonical_json(settings)

    def asked(self, messages: Messages) -> Messages:
        """Return the messages that this source gets for a prompt: with its system prompt, and its template around the last
        one."""
        if self.template is not None:
            *before, last = messages
            messages = [*before, {"role": last["role"], "content": fill(self.template, {"prompt": last["content"]})}]
        return messages if self.system is None else [{"role": "system", "content": self.system}, *messages]

    @property
    def ways(self) -> list[Way]:
        """The ways in which this source is asked, the usual one first; only that one without sampling_by."""
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
    """One of the ways in which a source is asked, and the prompts that it is for."""

    source: Sampled
    """The source with this way's sampling only."""
    column: PromptColumn | None = None
    values: list[str] = []
    others: bool = False

    @property
    def asks(self) -> dict[str, Any] | None:
        """The way as in the table of sources."""
        return None if self.column is None else {"column": self.column, "values": self.values, "others": self.others}


class BatchOptions(Section):
    """The limits of the vendor's batch interface, with `request: batch`. The defaults are OpenAI's."""

    max_lines: Annotated[int, Field(strict=True, ge=1)] = 50_000
    """The maximum number of lines per file, which is the number of requests per batch."""
    max_mb: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] = 200.0
    """The maximum size of a file in megabytes (10^6 bytes)."""
    window: Name = "24h"
    """The batch's completion_window. Lines without an answer by then expire; the next build requests them again."""
    url: Annotated[str, Field(pattern="^/")] = "/v1/chat/completions"
    """The path of each line's request, and the batch's `endpoint`."""
    poll_s: Annotated[float, Field(strict=True, gt=0)] = 60.0
    """Seconds between two checks of running batches."""


class Requested(Sampled, Requests):
    """The fields that both kinds of source behind a server share."""

    request: Literal["n", "single", "auto", "batch"] = "auto"
    """n: one request for all samples of a prompt; single: one request per sample; auto: n, until a server turns out to ignore
    it. batch (endpoint only): one line per sample, in files for the vendor's batch interface."""
    tokenizer: Name | None = None
    """Where the model's tokenizer.json is, for `probe`: a folder, or a repository on the hub (owner/name@revision). By default
    that of the model."""
    extra_body: ExtraBody = {}
    """More request fields: repetition_penalty, top_k, chat_template_kwargs, ..."""

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
    """Settings for request: batch."""

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
    """The Python interpreter of another environment, if the engine is installed there."""
    dtype: Name | None = None
    """The server's --dtype: bfloat16, float32, auto, ...; by default its own choice."""
    tensor_parallel_size: Annotated[int, Field(strict=True, ge=1)] | None = None
    """vLLM: the number of GPUs for one copy of the model."""
    args: list[str] = []
    """More command-line arguments for the server."""
    env: dict[str, str] = {}
    """Environment variables of the server: {CUDA_VISIBLE_DEVICES: '0,1'}. They are stored in recipe.json: no secrets here."""
    pass_env: list[Name] = []
    """Names of your environment variables that look like secrets and that the server gets anyway: [HF_TOKEN]."""
    together: Annotated[bool, Field(strict=True)] = True
    """true: runs together with the other servers. false: runs alone, after them: start, sample, stop, then the next such
    source."""
    restarts: Annotated[int, Field(strict=True, ge=0)] = 2
    """How often a server that dies during sampling is started again."""
    start_timeout_s: Annotated[float, Field(strict=True, gt=0)] = 600.0
    """Seconds that the server may take until it answers."""

    @model_validator(mode="after")
    def _can_prefill(self) -> ServeSource:
        if self.prefill is not None and self.engine == "transformers":
            raise ValueError("prefill: `transformers serve` cannot continue a given answer; use engine: vllm")
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
    """Sampling in this process. The model's generation_config.json is ignored: without a temperature it is 1."""

    top_k: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Sample from this many of the likeliest tokens; top_p applies to these."""


class LocalSource(Sampled, Weights):
    type: Literal["local"]
    sampling: LocalSampling = LocalSampling()
    sampling_by: Annotated[Mapping[PromptColumn, Annotated[Mapping[Name, LocalSampling], OneOrMore]], Field(max_length=1)] = {}
    dtype: Literal["float16", "bfloat16", "float32", "float64"] | None = None
    """The dtype of the computation; by default the checkpoint's own on a GPU, float32 on a CPU."""
    devices: list[Name] = []
    """One worker per entry: [cuda:0, cuda:1], [cpu, cpu], ... By default one per GPU; without a GPU, one per CPU core for a
    small model, else one with all cores."""
    batch_size: Annotated[int, Field(strict=True, ge=1)] = 256
    """Samples that a worker generates together; halved if its memory runs out."""


class ResponsesSource(Located):
    type: Literal["responses"]
    path: str | None = None
    dataset: str | None = None
    config: Configs = None
    split: Name = "train"
    revision: str | None = None
    columns: Columns = {}
    """Our name: the file's name. Our names are text, model, sample_index, prompt_id, prompt or messages, reference, score,
    ..."""
    template: RowTemplate | None = None
    """As for a file of prompts; it applies to the prompts of the rows."""
    where: Where = {}
    on_bad_row: OnBadRow = None
    model: Name | None = None
    """The source model, if all rows come from one and no column names it."""
    complete: FinishReasons = []
    """Values of `finish_reason` that mean that an answer is complete, beside the documented ones: [done]."""
    residue: Residue = "keep"
    force_reasoning: ForceReasoning = False
    """true: every text begins inside a thought, and a text without the closing tag is a thought that never ended."""
    judge: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/-]*$")] | None = None
    """The judge of the column `score`; the scores are imported under this name, with the file's digest as its version."""

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
            raise ValueError("columns.score needs the name of the judge that gave the scores: judge: NAME")
        if self.judge == "mean_rank":
            raise ValueError("judge: 'mean_rank' means all judges in select.judge; give another name")
        return self


Source = Annotated[EndpointSource | ServeSource | LocalSource | ResponsesSource, Field(discriminator="type")]
