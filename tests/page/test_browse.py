"""The pages of `datakit browse`: who may ask, what they show, and that no text of others is anything but text."""

import re
from dataclasses import fields
from html import unescape
from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.audit.finding import Filter
from datakit.errors import BadInput
from datakit.page.browse import address, read_filter
from datakit.page.differences import differences
from datakit.page.jinja import inert
from datakit.store import Flags, Run
from tests.helpers.serving_pages import TOKEN, ask, served
from tests.page.looked_at import make_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("pages") / "run")


@pytest.fixture(scope="module")
def site(folder):
    with served(folder) as site:
        yield site


def read(site, path):
    status, _, text = ask(site, path)
    assert status == 200, text
    return text


def shown(page):
    """The prompts of a page's pairs, in order."""
    return re.findall(r'<h2 id="t\d+"><a [^>]*>([^<]+)</a>', page)


# ------------------------------------------------------------------------------------------------------------ who may ask


def test_the_printed_address_gives_a_cookie_and_leaves_the_token_out_of_the_address(site):
    status, headers, _ = ask(site, f"/?token={quote(TOKEN)}&reason=any", cookie="")
    assert (status, headers["location"]) == (303, "/?reason=any")
    assert "HttpOnly" in headers["set-cookie"] and TOKEN in headers["set-cookie"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"cookie": ""}, 403),
        ({"cookie": "datakit=wrong"}, 403),
        ({"host": "evil.example"}, 421),  # a name of theirs that leads to this machine
        ({"host": "localhost:1234"}, 200),  # as ssh -L has it
    ],
)
def test_nobody_else_may_ask(site, headers, status):
    assert ask(site, "/", **headers)[0] == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec_fetch_site": "same-origin"}, 303),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({}, 403),
    ],
)
def test_only_a_page_of_ours_may_flag(site, folder, headers, status):
    before = len(Flags(folder).rows())
    form = {"target": "prompt", "prompt_id": "p/01", "flag": "clear", "back": "//evil.example"}
    answer = ask(site, "/flag", form, **headers)
    assert answer[0] == status
    assert len(Flags(folder).rows()) - before == (status == 303)
    assert answer[1].get("location") in (None, "/")


def test_every_answer_forbids_all_but_our_own_style_and_script(site):
    for path in ("/", "/style.css", "/nowhere"):
        policy = ask(site, path)[1]["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy


# --------------------------------------------------------------------------------------------------------------- the pages

PAGES = [
    "/",
    "/?reason=any",
    "/prompt?id=p%2F01",
    "/prompt?id=d%2F0",
    "/flips?better=qwen&worse=llama",
    "/dropped",
    "/failures",
    "/flags",
]


@pytest.mark.parametrize("path", PAGES)
def test_no_text_of_others_is_markup(site, folder, path):
    Flags(folder).add([{"target": "prompt", "prompt_id": "p/01", "flag": "note", "note": "<b>\u202ebold</b>", "who": "<i>eve"}])
    page = read(site, path)
    assert "<script>document" not in page and "<img" not in page and "<b>" not in page and "<i>" not in page
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b]", page)
    if path != "/flags":
        assert "{{ 7 * 7 }}" in page and "U+202E" in page


def test_filters_leave_what_they_say(site):
    assert shown(read(site, "/?source=qwen&margin_high=0.035")) == ["p/22", "p/23"]
    assert shown(read(site, "/?sort=margin&source=llama"))[:3] == ["p/00", "p/01", "p/02"]
    assert shown(read(site, "/?sort=margin&source=llama&descends=1"))[:3] == ["p/23", "p/22", "p/21"]
    assert shown(read(site, "/?reason=no+right+answer")) == ["p/05"]
    assert "24 pairs" in read(site, "/?source=qwen") and "22 pairs" in read(site, "/?source=llama")
    assert shown(read(site, "/?ratio_low=1&source=llama&sort=longer")) == []  # the rejected one is always longer
    against = read(site, "/?against=1&source=llama")
    assert "1 of 2 judges prefers the rejected answer" in against  # llama's answers score lower than they are long


def test_a_pair_is_shown_with_its_reason_both_readings_and_the_scores_of_all_judges(site):
    page = unescape(read(site, "/?source=qwen&margin_high=0.035"))
    assert "Of 2 answers of qwen 1 is right and 1 wrong: the right one with the highest score" in page
    assert "armorm@r1 0.270 · other@1 " in page and page.count("read as <code>8</code>") == 2
    assert "No pair: no right answer. Of 2 answers of llama 0 are right" in unescape(read(site, "/?reason=no+right+answer"))


def test_a_search_looks_into_prompts_and_answers_whatever_the_case(site):
    page = ""
    for words, found in (("NEEDLE", {"p/07"}), ("says qwen to 11", {"p/11"}), ("nowhere at all", set())):
        for _ in range(100):
            page = read(site, f"/?words={quote(words)}&reason=any")
            if "searched" not in page:
                break
        assert set(shown(page)) == found


def test_what_is_no_number_is_said(site):
    status, _, text = ask(site, "/?margin_low=high")
    assert (status, text) == (400, "margin_low: must be a number (got 'high')")
    for page in ("/?after=nan", "/?before=inf", "/flips?better=a&worse=b&after=1e999", "/flips?better=a&worse=b&after=-inf"):
        status, _, text = ask(site, page)
        assert status == 400 and text.startswith("after: must be a whole number (got "), page
    assert ask(site, "/?after=3")[0] == 200
    assert ask(site, "/prompt?id=nobody")[0] == 400
    assert ask(site, "/?sort=drop")[0] == 400


def test_flags_show_at_once_and_undo_brings_back_what_was_said(site, folder):
    def give(flag, note=""):
        form = {"target": "prompt", "prompt_id": "p/09", "flag": flag, "note": note, "back": "/?reason=any#p9"}
        status, headers, _ = ask(site, "/flag", form, sec_fetch_site="same-origin")
        assert (status, headers["location"]) == (303, "/?reason=any#p9")
        with Run.open(folder) as run:
            return run.query("SELECT flag, note FROM current_flags WHERE prompt_id = 'p/09' AND who = 'ann'").rows()

    assert give("keep") == [("keep", None)]
    assert give("exclude", "wrong unit") == [("exclude", "wrong unit")]
    assert give("note", "wrong unit, really") == [("exclude", "wrong unit, really")]  # what was said stays
    assert shown(read(site, "/?flagged=exclude&reason=any")) == ["p/09", "p/09"]
    assert "wrong unit, really" in read(site, "/prompt?id=p%2F09")
    assert give("undo") == [("exclude", "wrong unit")]
    assert give("clear") == []
    assert shown(read(site, "/?flagged=exclude&reason=any")) == []


def test_flips_are_prompts_that_one_got_right_and_the_other_did_not(site):
    page = read(site, "/flips?better=qwen&worse=llama")
    assert "1 prompt that" in page and shown(page) == ["p/05"]
    assert "0 prompts that" in read(site, "/flips?better=llama&worse=qwen")


def test_dropped_prompts_stand_with_what_they_met(site):
    page = read(site, "/dropped?reason=contaminated%3A+bench")
    assert shown(page) == ["d/0"]
    assert "bench/9" in page and "90% in common" in page
    assert shown(read(site, "/dropped")) == ["d/0", "d/1"]


def test_failures_lead_to_their_prompt(site):
    assert "/prompt?id=p%2F03" in read(site, "/failures")
    assert "status 400" in read(site, "/prompt?id=p%2F03")


# -------------------------------------------------------------------------------------------------- addresses, differences

values = st.one_of(st.none(), st.floats(0.01, 5).map(lambda number: round(number, 3)))
some_filter = st.builds(
    Filter,
    reason=st.sampled_from(["pair", "any", "margin above the window"]),
    source=st.one_of(st.none(), st.sampled_from(["org/a b", "ü&=?"])),
    outcome=st.none(),
    **dict.fromkeys(("margin_low", "margin_high", "ratio_low", "ratio_high"), values),
    against=st.booleans(),
    flagged=st.sampled_from([None, "any", "exclude"]),
    words=st.one_of(st.none(), st.sampled_from(["a+b", "50% of", "数学"])),
    sort=st.sampled_from(["n", "margin", "longer", "against"]),
    descends=st.booleans(),
)


@given(some_filter)
def test_every_state_is_an_address(wanted):
    query = dict(parse_qsl(address(wanted).partition("?")[2]))
    assert read_filter(query).filter == wanted
    assert set(query) <= {one.name for one in fields(Filter)}


def test_an_address_from_elsewhere_is_bad_input_or_a_page():
    for query in ({"after": "x"}, {"ratio_low": "0"}, {"flagged": "drop"}):
        with pytest.raises(BadInput):
            read_filter(query)


def plain(marked):
    return unescape(re.sub(r"</?(ins|del)>", "", str(marked)))


@given(st.text("ab <&\n", max_size=40), st.text("ab <&\n", max_size=40))
def test_without_its_marks_a_difference_is_the_text(one, other):
    left, right = differences(one, other, always=True)
    assert (plain(left), plain(right)) == (one, other)


@pytest.mark.parametrize(
    ("one", "other", "marked"),
    [
        ("it is 12.", "it is 13.", ("it is <ins>12</ins>.", "it is <del>13</del>.")),
        ("a b c", "a c", ("a <ins>b </ins>c", "a c")),
        ("same & same", "same & same", ("same &amp; same", "same &amp; same")),
        ("nothing in common", "wholly other words", None),
        ("x " * 3_001 + "\nlast\n", "x " * 3_001 + "\nend\n", None),
    ],
)
def test_words_that_differ_are_marked_where_the_texts_are_alike(one, other, marked):
    found = differences(one, other)
    if len(one) > 3_000:
        assert str(found[0]).endswith("<ins>last\n</ins>") and str(found[1]).endswith("<del>end\n</del>")
    else:
        assert (None if found is None else tuple(map(str, found))) == marked


def test_differences_of_texts_that_want_to_be_markup_are_text():
    left, _ = differences("<b>one</b> two \u202e three", "<b>one</b> two four", always=True)
    assert "<b>" not in left and "\u202e" not in left and str(inert("\u202e")) in left
