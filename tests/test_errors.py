"""What stopped some work is raised in one way, whoever did it."""

import pytest

from datakit.errors import BudgetSpent, DatakitError, SourceStopped, raise_all
from datakit.store.mirror import MirrorBehind


@pytest.mark.parametrize(
    ("stopped", "kind", "status"),
    [
        ([BudgetSpent("a")], BudgetSpent, 3),
        ([MirrorBehind("a")], MirrorBehind, 4),
        ([SourceStopped("a"), BudgetSpent("b")], SourceStopped, 3),
    ],
)
def test_a_single_one_is_raised_as_it_is_and_several_with_all_their_words(stopped, kind, status):
    with pytest.raises(DatakitError) as caught:
        raise_all(stopped)
    assert (type(caught.value), caught.value.exit_status) == (kind, status)
    assert str(caught.value).splitlines() == [str(error) for error in stopped]


def test_nothing_stopped_is_no_error():
    raise_all([])
