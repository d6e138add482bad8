"""Connected components: of summands that share tokens, of tensor entries, of the parts of a transform."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

Item = TypeVar("Item")


def connected_components(items: Iterable[Item], labels: Callable[[Item], Iterable[Hashable]]) -> list[list[Item]]:
    """The items in classes: those that share a label belong together, one without labels stands alone.

    Classes are ordered by their first item, and items as given; the time is about linear in the number of labels.

    >>> connected_components(["ab", "cd", "", "eb", "d"], list)
    [['ab', 'eb'], ['cd', 'd'], ['']]
    """
    parent: dict[Hashable, Hashable] = {}

    def root(label: Hashable) -> Hashable:
        while parent.setdefault(label, label) != label:
            parent[label] = label = parent[parent[label]]
        return label

    labelled = [(item, list(labels(item))) for item in items]
    for _, own in labelled:
        for label in own:
            parent[root(label)] = root(own[0])
    classes: dict[Hashable, list[Item]] = {}
    for item, own in labelled:
        classes.setdefault(root(own[0]) if own else object(), []).append(item)
    return list(classes.values())
