"""Connected components against their definition."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from sie_sym.components import connected_components

LABELS = st.lists(st.frozensets(st.integers(1, 12), max_size=3), max_size=12)


@given(LABELS)
def test_components_share_no_label_and_cannot_be_split(items: list[frozenset[int]]) -> None:
    numbered = list(enumerate(items))
    found = connected_components(numbered, lambda pair: pair[1])
    assert sorted(itertools.chain(*found)) == numbered
    assert [part[0] for part in found] == sorted(part[0] for part in found)
    for one, other in itertools.combinations(found, 2):
        assert not frozenset().union(*(s for _, s in one)) & frozenset().union(*(s for _, s in other))
    for part in found:
        assert part == sorted(part)
        reached, rest = set(part[0][1]), [s for _, s in part[1:]]
        while rest:  # breadth first: each item left over must meet what was reached before it
            met = [s for s in rest if s & reached]
            assert met
            reached.update(*met)
            rest = [s for s in rest if s not in met]


def test_a_long_chain_is_one_component() -> None:
    chain = [(i, i + 1) for i in range(50_000)]
    assert len(connected_components(chain, lambda pair: pair)) == 1
    assert len(connected_components(chain[::-2], lambda pair: pair)) == 25_000
