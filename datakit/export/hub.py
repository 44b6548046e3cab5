"""Push an export to the Hugging Face hub as a dataset: one commit, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

from datakit.errors import BadInput, DatakitError, command, needs_extra

_PARTS = ("README.md", "manifest.json", "dataset_info.json", "sft/*", "dpo/*", "wrpo/*", "kto/*", "train.*", "test.*")
"""The files of an export; nothing else in its folder is sent, and nothing else in the repository is touched."""


def push(folder: Path, repo: str, private: bool, message: str | None) -> str:
    """Push the export to the dataset `repo` (owner/name), which is created if it does not exist; return the commit's URL.

    Files of an earlier export that this one does not have are removed in the same commit. The token is huggingface_hub's
    own (HF_TOKEN, or `hf auth login`). Raises BadInput if the folder is not an export or the name is not valid, and
    DatakitError if the hub refuses.
    """
    files = _files_of(folder)
    with needs_extra("hub", "datakit push"):
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError  # type: ignore[attr-defined]  # of its HTTP library
    api = HfApi()
    try:
        api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        there = set(api.list_repo_files(repo, repo_type="dataset"))
        gone = sorted(name for name in there - files.keys() if any(Path(name).match(part) for part in _PARTS))
        additions = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(path)) for name, path in files.items()]
        deletions = [CommitOperationDelete(path_in_repo=name) for name in gone]
        done = api.create_commit(
            repo, [*additions, *deletions], repo_type="dataset", commit_message=message or f"{folder.name}, by datakit"
        )
    except HFValidationError as error:
        raise BadInput(f"push: {repo!r} is not a valid dataset name ({error}); write owner/name") from error
    except ValueError as error:  # the hub rejects the card's header
        raise BadInput(f"push: {folder / 'README.md'}: {error}") from error
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise DatakitError(
                f"push: you may not write to {repo}; give a token that may (HF_TOKEN, or hf auth login): {error}"
            ) from error
        raise DatakitError(f"push: the hub refused {repo}: {error}") from error
    except (OSError, HTTPError) as error:
        raise DatakitError(f"push: {api.endpoint} cannot be reached ({error}); what is in {repo} is as it was") from error
    return str(done.commit_url)


def _files_of(folder: Path) -> dict[str, Path]:
    """Return the files of an export, by their names in the repository."""
    try:
        kind = json.loads((folder / "manifest.json").read_text(encoding="utf-8")).get("kind")
    except (OSError, ValueError, AttributeError):
        kind = None
    if kind is None or not (folder / "README.md").is_file():
        run = (folder / "recipe.json").is_file()
        better = (
            f"write its export first: {command('export', folder, 'OUT')}" if run else "give a folder that datakit export wrote"
        )
        raise BadInput(f"push {folder}: {'this is a run' if run else 'no export'}; {better}")
    return {
        path.relative_to(folder).as_posix(): path for part in _PARTS for path in sorted(folder.glob(part)) if path.is_file()
    }
