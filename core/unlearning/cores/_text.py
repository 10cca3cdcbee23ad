"""Texts to tokens, in batches whose shape depends on a text's own length alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from unlearning.cores.core import Input, Samples
from unlearning.errors import InvalidInputError

TOKENS = 192
"""In a batch: where throughput levels off. One text alone takes as long as these, and so do the
places that stay empty in the last batch of a length."""

QUANTUM = 8
"""Lengths are rounded up to a multiple of it, so that texts of about a length go together and
fewer places stay empty."""


@dataclass(frozen=True)
class TextReader:
    """Batches of texts of about one length.

    Attributes:
        tokenizer: neither pads nor truncates.
        longest: tokens that a text may have, with those that the tokenizer adds.
    """

    tokenizer: Tokenizer
    longest: int
    input: Input = "text"

    def batches(self, samples: Samples) -> Iterator[tuple[NDArray[np.intp], NDArray[np.generic]]]:
        """Which rows, and their tokens and masks, int64 (batch, 2, length).

        What a batch is filled up with is a row of one token. Raises InvalidInputError, with
        the row, for a text that is empty or too long, and for what is no text.
        """
        texts = [self._text(samples, row) for row in range(len(samples))]
        tokens = [each.ids for each in self.tokenizer.encode_batch(texts)]
        lengths = [self._length(ids, row) for row, ids in enumerate(tokens)]
        order = sorted(range(len(tokens)), key=lengths.__getitem__)
        for length, group in groupby(order, key=lengths.__getitem__):
            rows, batch = list(group), max(1, TOKENS // length)
            for start in range(0, len(rows), batch):
                these = rows[start : start + batch]
                yield np.array(these), _filled([tokens[row] for row in these], batch, length)

    def largest(self) -> NDArray[np.generic]:
        """A batch as large as any: the last word of the vocabulary, over and over."""
        words = [self.tokenizer.get_vocab_size() - 1] * self.longest
        return _filled([words], max(1, TOKENS // self.longest), self.longest)

    def _length(self, ids: Sequence[int], row: int) -> int:
        if len(ids) > self.longest:
            raise InvalidInputError(
                "text", f"has {len(ids)} tokens", f"send at most {self.longest}; split it", row
            )
        return min(max(1, -(-len(ids) // QUANTUM)) * QUANTUM, self.longest)

    @staticmethod
    def _text(samples: Samples, row: int) -> str:
        sample = samples[row]
        if not isinstance(sample, str):
            raise InvalidInputError("text", "is no text", "send texts", row)
        if not sample.strip():
            raise InvalidInputError("text", "is empty", "send a text with words in it", row)
        return sample


def _filled(tokens: Sequence[Sequence[int]], batch: int, length: int) -> NDArray[np.int64]:
    filled = np.zeros((batch, 2, length), np.int64)
    filled[:, 1, 0] = 1
    for i, ids in enumerate(tokens):
        filled[i, :, : len(ids)] = ids, np.ones(len(ids))
    return filled
