"""What a person sees of a stage: rates, columns that fit, replicas, and lines where there is no terminal."""

from __future__ import annotations

import re
import threading
import time
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from datakit.audit.summary import Summary
from datakit.progress import Progress, ReplicaProgress
from datakit.screen import watch
from datakit.screen.console import open_console
from datakit.screen.ink import Ink
from datakit.screen.pace import Part, together
from datakit.screen.stage_table import StageView
from datakit.screen.watch import Watch
from tests.helpers.waiting import wait_for


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def part_at(moments, total=10_000):
    """A part that was looked at whenever it had come to (seconds, Progress); seconds count from the start."""
    clock, state = Clock(), [Progress()]
    part = Part(total, lambda: state[0], clock)
    for second, progress in moments:
        clock.now, state[0] = 1000.0 + second, progress
        part.look()
    return part


def drawn(parts, width=120, ended=False, ascii_only=False):
    return [line.plain for line in StageView(parts, ended).draw(width, Ink(ascii_only))]


def replica(at, state="up", in_flight=30, window=64, waiting=None):
    return ReplicaProgress(f"http://node{at}:8000/v1", state, in_flight, window, waiting)


UP = replica(1)

# -------------------------------------------------------------------------------------------------------------------- rates


def test_rates_are_those_of_the_last_half_minute():
    slow = [(second, Progress(done=second, requests=second // 5, completion_tokens=100 * second)) for second in range(1, 101)]
    fast = [(100 + s, Progress(done=100 + 10 * s, requests=20 + 2 * s, completion_tokens=10_000 * s)) for s in range(1, 31)]
    pace = part_at(slow + fast).pace()
    assert pace.rows == pytest.approx(10) and pace.requests == pytest.approx(2)
    assert pace.tokens == pytest.approx((300_000 - 10_000) / 30)
    assert pace.left_s == pytest.approx((10_000 - 400) / (400 / 130)), "the time that is left is told from a longer while"
    assert part_at(slow + fast).pace(ended=True).rows == pytest.approx(400 / 130), "at the end it is the mean"


def test_in_its_first_seconds_a_part_has_the_rate_since_its_start():
    assert part_at([(0.5, Progress(done=4))]).pace().rows == pytest.approx(8)


def test_a_source_that_waits_for_its_turn_begins_with_the_first_sign_of_it():
    waited = [(second, Progress()) for second in range(1, 101)]
    late = part_at([*waited, (101, Progress(replicas=(UP,))), (110, Progress(done=50, replicas=(UP,)))])
    assert late.pace().rows == pytest.approx(5) and late.pace(ended=True).took_s == pytest.approx(10)
    early = part_at([(10, Progress(done=50)), (100, Progress(done=10_000))])
    whole = together([early.pace(ended=True), late.pace(ended=True)], ended=True)
    assert whole.took_s == pytest.approx(110) and whole.rows == pytest.approx(10_050 / 110)


def test_a_part_without_a_poll_begins_with_its_stage():
    clock = Clock()
    part = Part(1000, clock=clock)
    for _ in range(20):  # a model is loaded, its first batches are computed
        clock.now += 1
        part.look()
    part.advance(done=100, failed=0)
    part.look()
    assert part.pace().rows == pytest.approx(5) and part.pace(ended=True).took_s == 20
    assert part.pace().left_s == pytest.approx(180)


def test_where_nothing_comes_any_more_no_time_is_told():
    stalled = [(1, Progress(done=50)), *((second, Progress(done=50)) for second in range(10, 320, 10))]
    pace = part_at(stalled).pace()
    assert pace.rows == 0 and pace.left_s is None
    assert drawn({"m": part_at(stalled)})[1].split()[-1] == "-"


def test_failures_count_as_finished_and_the_clock_of_a_part_that_is_done_stands_still():
    part = part_at([(10, Progress(done=60, failed=40)), (500, Progress(done=60, failed=40))], total=100)
    pace = part.pace()
    assert pace.is_done and pace.took_s == 10 and pace.rows == pytest.approx(10) and pace.left_s is None
    assert drawn({"m": part})[1].split()[-1] == "done"


def test_all_parts_together_end_with_the_slowest():
    quick, slow = part_at([(10, Progress(done=50))], total=100), part_at([(10, Progress(done=10, requests=2))], total=100)
    whole = together([quick.pace(), slow.pace()])
    assert (whole.now.done, whole.total, whole.now.requests) == (60, 200, 2)
    assert whole.rows == pytest.approx(6) and whole.left_s == pytest.approx(90)
    waiting = part_at([(10, Progress())], total=100)
    assert together([quick.pace(), waiting.pace()]).left_s is None, "nobody knows when one that gives nothing ends"


# ---------------------------------------------------------------------------------------------------------------- the table


def sampled(done=1234, total=10_000, failed=2, retries=14, replicas=(UP,)):
    progress = Progress(done, failed, done // 5, retries, done * 100, done * 400, tuple(replicas))
    return part_at([(30, progress)], total)


@pytest.mark.parametrize("width", [77, 97, 120])
def test_a_source_says_everything_at_usual_widths(width):
    head, line = drawn({"google/gemma-2-27b-it": sampled()}, width)
    assert re.split(r"\s{2,}|(?<=done) |(?<=flight) |(?<=/s) |(?<=ed) |(?<=ies) ", head.strip()) == [
        *("done", "in flight", "req/s", "tok/s", "failed", "retries", "left")
    ]
    assert line.split()[-7:] == ["1,234/10,000", "30/64", "8.2", "16.5k", "2", "14", "3:33"]
    assert line.split()[0] == "gemma-2-27b-it" and "12%" in line


def test_there_is_room_for_the_echo_of_ctrl_c():
    console = Console(file=StringIO(), width=80)
    console.print(StageView({"google/gemma-2-27b-it": sampled(), "m" * 30: sampled(replicas=[replica(at) for at in range(4)])}))
    assert 70 < max(map(len, lines_of(console))) <= 77


def test_columns_appear_with_what_they_are_for():
    head = drawn({"math@2": part_at([(10, Progress(done=50))])})[0]
    assert head.split() == ["done", "rows/s", "left"], "a verifier has no requests"
    judged = part_at([(10, Progress(done=50, completion_tokens=500))])
    judged.note = "batch 16"
    assert drawn({"armorm@1": judged})[0].split() == ["done", "rows/s", "tok/s", "left"]
    assert drawn({"armorm@1": judged})[1].endswith("batch 16")


@pytest.mark.parametrize("width", [77, 97, 117])
def test_a_note_has_its_place_before_the_bar(width):
    judged = part_at([(10, Progress(done=1_344, failed=16))], total=12_000)
    judged.note = "121,042 tokens/s"
    head, line = drawn({"armorm@local-ed3e95c48122+dtype=float32": judged}, width)
    assert head.split() == ["done", "rows/s", "failed", "left"] and len(line) <= width
    assert line.endswith("  121,042 tokens/s" if width > 90 else " 121,042 tokens/s")


def test_several_sources_have_a_sum_and_names_that_tell_them_apart():
    lines = drawn({"org/Mistral-Large-Instruct-2407": sampled(), "org/Mistral-Large-Instruct-2411": sampled(done=10)})
    names = [line.split()[0] for line in lines[1:]]
    assert names == ["Mistral-Lar..struct-2407", "Mistral-Lar..struct-2411", "all"]
    assert "1,244/20,000" in lines[-1]


def test_a_column_never_gets_narrower():
    state, clock, heads = [Progress()], Clock(), []
    view = StageView({"m": Part(1_000_000, lambda: state[0], clock)})
    for progress in (Progress(done=1000, requests=200), Progress(done=9000, requests=1800)):  # 11:06:00 left, and 2:26:49
        state[0], clock.now = progress, clock.now + 40
        view.look()
        heads.append(next(view.draw(100, Ink(False))).plain)
    assert heads[0] == heads[1], "nothing jumps where numbers get smaller"


NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=60)
REPLICAS = st.lists(
    st.builds(
        ReplicaProgress,
        url=st.sampled_from(["http://a:1/v1", "https://user:secret@host-with-a-long-name.example.org:8443/team/v1"]),
        state=st.sampled_from(["up", "resting", "down"]),
        in_flight=st.integers(0, 4096),
        window=st.integers(1, 4096),
        waiting=st.none() | st.integers(0, 10**5),
    ),
    max_size=9,
).map(tuple)
COUNT = st.integers(0, 10**8)
PROGRESS = st.builds(Progress, COUNT, COUNT, COUNT, COUNT, COUNT, st.integers(0, 10**11), REPLICAS)


@given(
    parts=st.dictionaries(NAMES, st.tuples(PROGRESS, st.integers(0, 10**8)), min_size=1, max_size=5),
    width=st.integers(77, 160),
    seconds=st.floats(0.1, 10**6),
    ended=st.booleans(),
    ascii_only=st.booleans(),
)
def test_whatever_happens_the_lines_fit_and_show_no_password(parts, width, seconds, ended, ascii_only):
    lines = drawn({name: part_at([(seconds, now)], total) for name, (now, total) in parts.items()}, width, ended, ascii_only)
    assert max(map(len, lines)) <= width
    assert len(lines) >= 1 + len(parts)
    assert "secret" not in "".join(lines)
    assert not ascii_only or "".join(lines).isascii()
    if not ended:
        assert all(name in lines[0] for name in ("done", "left"))


def test_done_failed_and_time_stay_where_the_terminal_is_narrow():
    head, line = drawn({"m": sampled()}, width=40)[:2]
    assert "done" in head and "left" in head and len(line) <= 40


# ----------------------------------------------------------------------------------------------------------------- replicas

SEEN = {
    "one that is up": ([replica(1)], []),
    "one that is down": ([replica(1, "down")], ["node1:8000 down"]),
    "one that rests": ([replica(1, "resting", 3, 8)], ["node1:8000 resting 3/8"]),
    "two": ([replica(1), replica(2, waiting=5)], ["node1:8000 30/64   node2:8000 30/64, 5 waiting"]),
    "many": (
        [*map(replica, range(7)), replica(7, "down"), replica(8, "resting", 1, 2)],
        ["7 of 9 up   node7:8000 down   node8:8000 resting 1/2"],
    ),
}


@pytest.mark.parametrize("replicas, expected", SEEN.values(), ids=SEEN.keys())
def test_replicas_are_shown_where_there_are_several_or_one_is_not_up(replicas, expected):
    assert [line.strip() for line in drawn({"m": sampled(replicas=replicas)})[2:]] == expected


def test_replica_lines_are_folded_between_replicas():
    lines = drawn({"m": sampled(replicas=[replica(at, waiting=12_345) for at in range(4)])}, width=80)[2:]
    assert len(lines) == 2 and all(len(line) <= 80 for line in lines) and "".join(lines).count("12,345 waiting") == 4


# --------------------------------------------------------------------------------------------------------- the whole monitor


class Terminal(StringIO):
    """Takes what is written, and says that it is a terminal."""

    def isatty(self):
        return True


def lines_of(console):
    return console.file.getvalue().splitlines()


def test_without_a_terminal_a_line_a_source_comes_again_and_again_from_the_polls(monkeypatch):
    monkeypatch.setattr(watch, "LINE_EVERY_S", 0.05)
    console = Console(file=StringIO(), width=120)
    threads = set()

    def poll():
        threads.add(threading.current_thread().name)
        return Progress(3, 1, 2, 1, 10, 900, (replica(1, "down", 0, 4),))

    with Watch(console=console) as shown:
        shown.stage("sample", {"org/m": 8, "org/n": 8}, {"org/m": poll, "org/n": lambda: Progress(replicas=(replica(2),))})
        wait_for(lambda: len(lines_of(console)) >= 1 + 2 * 2)
        shown.close_stage()
        count = len(lines_of(console))
        time.sleep(0.2)
        assert len(lines_of(console)) == count, "the thread ends with the stage"
    assert "progress lines" in threads and "progress lines" not in {thread.name for thread in threading.enumerate()}
    lines = lines_of(console)
    assert lines[0] == "sample"
    pattern = r"  \d\d:\d\d:\d\d  org/m: 3 of 8, 1 failed, 0/4 in flight, \S+ requests/s, \S+ tokens/s, 1 retries, "
    assert re.fullmatch(pattern + r"\d+:\d\d left, node1:8000 down", lines[1])
    assert re.fullmatch(r"  org/m: 3 of 8, 1 failed, \S+ requests/s, \S+ tokens/s, 1 retries, took 0:\d\d", lines[-2])
    assert re.fullmatch(r"  org/n: 0 of 8, 0 rows/s, took 0:\d\d", lines[-1])


def test_between_two_lines_the_polls_are_asked(monkeypatch):
    """So that what a part took, and its rate, do not end with the next line."""
    monkeypatch.setattr(watch, "LOOK_EVERY_S", 0.01)
    console, asked = Console(file=StringIO(), width=120), [0]

    def poll():
        asked[0] += 1
        return Progress(done=8, requests=2)

    with Watch(console=console) as shown:
        shown.stage("sample", {"org/m": 8}, {"org/m": poll})
        wait_for(lambda: asked[0] >= 3)
        assert lines_of(console) == ["sample"], "a line is not due yet"


def test_without_polls_a_stage_is_told_with_advance():
    console = Console(file=StringIO(), width=120)
    with Watch(console=console) as shown:
        shown.stage("verify", {"math@2": 10})
        for _ in range(4):
            shown.advance("math@2", 1, 0, "")
        shown.advance("math@2", 0, 2, "two of them odd")
    assert re.fullmatch(r"  math@2: 4 of 10, 2 failed, \S+ rows/s, two of them odd, took 0:\d\d", lines_of(console)[-1])


@pytest.mark.parametrize(
    ("there", "missing", "done", "failed", "cells"),
    [
        (0, 100, 25, 0, ("25%", "25/100")),
        (75, 25, 0, 0, ("75%", "75/100")),  # a build that goes on
        (75, 25, 10, 0, ("85%", "85/100")),
        (75, 25, 10, 5, ("90%", "85/100")),  # a row that failed is finished, and not there
        (99, 1, 1, 0, ("100%", "100/100")),
    ],
)
def test_after_a_resume_the_bar_counts_the_run(there, missing, done, failed, cells):
    clock = Clock()
    part = Part(missing, lambda: Progress(done, failed), clock, there)
    clock.now += 10
    part.look()
    (_, line) = drawn({"org/m": part}, ascii_only=True)
    assert all(cell in line.split() for cell in cells), line
    assert abs(line.count("#") / 24 - (there + done + failed) / 100) < 1 / 24, line
    assert part.pace().rows == (done + failed) / 10, "rates are of this build"
    whole = together([part.pace(), Part(10, lambda: Progress(), there=90).pace()])
    assert (whole.total, whole.done) == (200, there + done + 90)


def test_in_a_terminal_the_polls_are_asked_by_the_refresh_and_the_last_state_stays():
    terminal = Terminal()
    console = Console(file=terminal, width=100, force_terminal=True, color_system=None)
    done = [0]

    def poll():
        done[0] += 1
        return Progress(done[0], 0, done[0], replicas=(replica(1), replica(2, "down")))

    with Watch(console=console) as shown:
        shown.stage("sample", {"org/m": 5000}, {"org/m": poll})
        wait_for(lambda: done[0] >= 3)
        shown.say("something happened")
        shown.stage("verify", {})
    written = terminal.getvalue()
    assert done[0] >= 3 and "node2:8000 down" in written and "something happened" in written
    head, line = [one for one in re.split(r"[\r\n]|\x1b\[[^A-Za-z]*[A-Za-z]", written) if one.strip()][-2:]
    assert head.split() == ["done", "req/s", "tok/s", "took"] and f"{done[0]:,}/5,000" in line, "the last poll's state stays"
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1, "the cursor is there again"


def test_a_stage_with_nothing_to_do_passes_unseen():
    written = StringIO()
    with Watch(console=Console(file=written)) as shown:
        shown.stage("score", {})
    assert written.getvalue() == ""


def test_an_interruption_closes_the_stage_and_says_how_to_go_on():
    console = Console(file=StringIO(), width=120)
    with pytest.raises(KeyboardInterrupt), Watch("datakit build --domain math", console=console) as shown:
        shown.stage("sample", {"m": 3}, {"m": Progress})
        raise KeyboardInterrupt
    assert lines_of(console)[-2].startswith("  m: 0 of 3")
    assert lines_of(console)[-1] == "! interrupted; what was received is stored. Go on with: datakit build --domain math"


def test_what_was_said_while_prompts_were_read_is_not_said_again():
    console = Console(file=StringIO(), width=100)
    with Watch(console=console) as shown:
        shown.say("2 prompts dropped: no reference answer", warning=True)
        shown.summary(Summary(Path("run"), {}, [], [], [], ["2 prompts dropped: no reference answer", "another"], None))
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().splitlines() == ["! 2 prompts dropped: no reference answer", "! another"]


def test_what_is_not_read_on_a_terminal_ends_with_its_last_letter(capsys):
    """Tables pad their cells; blanks within a line stay."""
    drawn = Table.grid(padding=(0, 2, 0, 0))
    for row in (("a", "b"), ("long cell", "")):
        drawn.add_row(*row)
    open_console().print(drawn)
    assert capsys.readouterr().out == "a          b\nlong cell\n"
