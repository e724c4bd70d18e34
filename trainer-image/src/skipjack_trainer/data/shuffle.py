"""Permutations of any length by a key, asked place by place: memory doesn't grow with the data."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from math import isqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

DRAWN_UP_TO = 2**20
"""Longer ones are computed: a drawn one is an array in memory, 8 bytes a row."""

ROUNDS = 8


class Draw(IntEnum):
    """The last of a key's numbers, but for the order of an epoch, which is (seed, epoch): what is drawn by one seed has nothing to do with
    each other."""

    TURNS = 1
    """The order in which a source's rows take turns, epoch after epoch."""
    HELD_OUT = 2
    SAMPLE = 3


class Shuffle(Protocol):
    """A permutation of 0 … length - 1."""

    def at(self, places: Numbers) -> Numbers:
        """What stands there."""
        ...

    def place_of(self, values: Numbers) -> Numbers:
        """Where they stand."""
        ...


@lru_cache(maxsize=8)  # a step asks for those of two epochs, and for each source's
def shuffle(length: int, *key: int) -> Shuffle:
    """The same for the same key; those of other keys have nothing to do with it."""
    return Drawn(length, key) if length <= DRAWN_UP_TO else Computed(length, key)


class Drawn:
    """Numpy's own, as an array."""

    def __init__(self, length: int, key: tuple[int, ...]) -> None:
        self.values = np.random.default_rng(key).permutation(length)
        self.places = np.empty_like(self.values)
        self.places[self.values] = np.arange(length)

    def at(self, places: Numbers) -> Numbers:
        found: Numbers = self.values[places]
        return found

    def place_of(self, values: Numbers) -> Numbers:
        found: Numbers = self.places[values]
        return found


class Computed:
    """A generalised Feistel cipher on left · width + right, walked until it is within the length (Black and Rogaway, "Ciphers with
    Arbitrary Finite Domains", 2002): the two halves take turns in being moved on by a hash of the other one."""

    def __init__(self, length: int, key: tuple[int, ...]) -> None:
        self.length = length
        self.width = isqrt(length - 1) + 1
        self.height = -(-length // self.width)
        self.keys = np.random.SeedSequence(key).generate_state(ROUNDS, np.uint64)

    def at(self, places: Numbers) -> Numbers:
        return self._walked(places, range(ROUNDS), 1)

    def place_of(self, values: Numbers) -> Numbers:
        return self._walked(values, range(ROUNDS)[::-1], -1)

    def _walked(self, numbers: Numbers, rounds: range, sign: int) -> Numbers:
        found = self._once(numbers, rounds, sign)
        while len(outside := np.flatnonzero(found >= self.length)):
            found[outside] = self._once(found[outside], rounds, sign)
        return found

    def _once(self, numbers: Numbers, rounds: range, sign: int) -> Numbers:
        left, right = np.divmod(numbers, self.width)
        for number in rounds:
            if number % 2:
                right = (right + sign * _hashed(left, self.keys[number], self.width)) % self.width
            else:
                left = (left + sign * _hashed(right, self.keys[number], self.height)) % self.height
        return left * self.width + right


def _hashed(values: Numbers, key: np.uint64, bound: int) -> Numbers:
    """Numbers below `bound` by splitmix64's finaliser (Steele, Lea and Flood 2014)."""
    mixed = values.astype(np.uint64) + key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) % np.uint64(bound)).astype(np.int64)
