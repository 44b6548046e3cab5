"""A hook of MkDocs: links from docs/ to the rest of the project work on the site as they do in the checkout.

Documents of the project that a page links to become pages below project/, other files are copied there, and what is a folder is
named without a link. So a page is written once, for GitHub and for the site.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PLACE = "project"
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Add every file outside of docs/ that a page links to, and what those link to."""
    waiting = [page.src_uri for page in files.documentation_pages()]
    while waiting:
        uri = waiting.pop()
        text = FENCED.sub("", source_of(uri).read_text(encoding="utf-8"))
        for _, target in LINK.findall(text):
            there = below_root(uri, target)
            if there is None or there.is_dir() or files.get_file_from_path(new := site_uri(there)):
                continue
            files.append(File.generated(config, new, abs_src_path=str(there)))
            if new.endswith(".md"):
                waiting.append(new)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to what was added lead to it; a folder has none."""

    def changed(found: re.Match[str]) -> str:
        text, target = found.groups()
        there = below_root(page.file.src_uri, target)
        if there is None:
            return found[0]
        if there.is_dir():
            return text
        _, hash_sign, anchor = target.partition("#")
        new = posixpath.relpath(site_uri(there), posixpath.dirname(page.file.src_uri) or ".")
        return f"[{text}]({new}{hash_sign}{anchor})"

    pieces = re.split(r"(^```.*?^```$)", markdown, flags=re.DOTALL | re.MULTILINE)
    return "".join(piece if piece.startswith("```") else LINK.sub(changed, piece) for piece in pieces)


def source_of(uri: str) -> Path:
    """Where a page of the site is written."""
    return ROOT / uri.removeprefix(f"{PLACE}/") if uri.startswith(f"{PLACE}/") else ROOT / "docs" / uri


def site_uri(path: Path) -> str:
    """Where a file of the project stands on the site."""
    inside = path.relative_to(ROOT)
    return inside.relative_to("docs").as_posix() if inside.parts[0] == "docs" else f"{PLACE}/{inside.as_posix()}"


def below_root(uri: str, target: str) -> Path | None:
    """The file or folder that a link of a page leads to; None for the web, an anchor, or what is not there."""
    place = target.partition("#")[0]
    if not place or re.match(r"[a-z]+:", place):
        return None
    there = (source_of(uri).parent / place).resolve()
    return there if there.exists() and there.is_relative_to(ROOT) else None
