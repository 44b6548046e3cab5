"""Trainers of tiny models as `train` makes them, and what their losses are made of, without TRL."""

from tests.helpers import tiny_targets as tiny
from train.data import open_data
from train.finetune import _make_trainer
from train.fuse import read_vocabularies
from train.options import parse_options, read_request
from train.rows import load_rows


def make_trainer(kind, model, tmp_path, rows, *flags):
    export = open_data(tiny.write_export(tmp_path / kind, kind, rows), kind)
    argv = [
        "--data",
        str(export.path),
        "--model",
        str(model),
        "--output_dir",
        str(tmp_path / "out"),
        "--gradient_checkpointing",
        "false",
        *flags,
    ]
    options = parse_options(read_request(kind, argv))
    row_weights = options.fusing.row_weights if options.fusing else ()
    train_rows, _ = load_rows([export], None, 0.0, row_weights)
    if options.fusing:
        options.fusing.vocabularies = read_vocabularies([export.files[0].parent])
    return _make_trainer(options, train_rows, None), options


def disturb(model):
    """Move a policy away from its reference, the same way every time."""
    import torch

    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.02 * torch.randn(weight.shape, generator=generator))


def log_prob(model, prompt_ids, answer_ids):
    """log pi(answer | prompt), the sum over the answer's tokens, and nothing of TRL in it."""
    import torch

    with torch.no_grad():
        logits = model(torch.tensor([prompt_ids + answer_ids])).logits[0].double()
    steps = logits.log_softmax(-1)
    start = len(prompt_ids)
    return sum(steps[start + index - 1, token].item() for index, token in enumerate(answer_ids))
