"""A sentence's vector by a small BERT, in numpy alone.

The formulas are those of Devlin et al., *BERT* (arXiv:1810.04805), whose layers are those of
Vaswani et al., *Attention is all you need* (arXiv:1706.03762), with GELU (Hendrycks and Gimpel,
arXiv:1606.08415). The mean of the words' vectors, made one long, is the sentence's (Reimers and
Gurevych, *Sentence-BERT*, arXiv:1908.10084).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
#: Added to the weight of what is no word, before the exponential: nothing is left of it.
_NO_WORD = np.float32(-1e9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a ``config.json`` tells: layers, attention heads, and the layer norm's epsilon."""

    layers: int
    heads: int
    epsilon: float


class Bert:
    """The model of some weights, by their names in a ``model.safetensors``."""

    def __init__(self, weights: Mapping[str, Any], shape: Shape) -> None:
        self._weights = weights
        self._shape = shape

    def embed(self, sentences: Sequence[Sequence[int]]) -> Array:
        """Vectors of length one of sentences as word numbers, an array (sentences, width)."""
        longest = max(map(len, sentences))
        words = np.zeros((len(sentences), longest), np.int64)
        there = np.zeros((len(sentences), longest, 1), np.float32)
        for number, sentence in enumerate(sentences):
            words[number, : len(sentence)] = sentence
            there[number, : len(sentence)] = 1.0
        mask = ((1 - there) * _NO_WORD)[:, None, None, :, 0]
        name = "embeddings.{}_embeddings.weight".format
        given = self._weights[name("word")][words] + self._weights[name("position")][:longest]
        x = self._norm(given + self._weights[name("token_type")][0], "embeddings.LayerNorm")
        for number in range(self._shape.layers):
            x = self._layer(x, mask, f"encoder.layer.{number}")
        mean = (x * there).sum(axis=1) / there.sum(axis=1)
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True), np.float32)

    def _layer(self, x: Array, mask: Array, name: str) -> Array:
        x = self._norm(x + self._attended(x, mask, f"{name}.attention"),
                       f"{name}.attention.output.LayerNorm")  # fmt: skip
        inner = gelu(self._linear(x, f"{name}.intermediate.dense"))
        return self._norm(x + self._linear(inner, f"{name}.output.dense"),
                          f"{name}.output.LayerNorm")  # fmt: skip

    def _attended(self, x: Array, mask: Array, name: str) -> Array:
        count, length, width = x.shape
        heads = self._shape.heads
        query, key, value = (
            self._linear(x, f"{name}.self.{part}")
            .reshape(count, length, heads, width // heads)
            .transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(2, 3) * np.float32((width // heads) ** -0.5) + mask
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed = (scores @ value).transpose(0, 2, 1, 3).reshape(count, length, width)
        return self._linear(mixed, f"{name}.output.dense")

    def _linear(self, x: Array, name: str) -> Array:
        flat = x.reshape(-1, x.shape[-1]) @ self._weights[f"{name}.weight"].T
        flat += self._weights[f"{name}.bias"]
        return np.asarray(flat.reshape(*x.shape[:-1], flat.shape[-1]), np.float32)

    def _norm(self, x: Array, name: str) -> Array:
        x = x - x.mean(axis=-1, keepdims=True)
        x /= np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(self._shape.epsilon))
        x *= self._weights[f"{name}.weight"]
        x += self._weights[f"{name}.bias"]
        return x


def gelu(x: Array) -> Array:
    """x times the share of a normal distribution that lies below it: x (1 + erf(x / √2)) / 2.

    numpy has no erf; it is taken by formula 7.1.26 of Abramowitz and Stegun, *Handbook of
    Mathematical Functions*, right to 1.5e-7.
    """
    size = np.abs(x)
    size *= np.float32(math.sqrt(0.5))
    t = 1 / (1 + np.float32(0.3275911) * size)
    tail = np.full_like(t, 1.061405429)
    for factor in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail *= t
        tail += np.float32(factor)
    tail *= t
    tail *= np.exp(-size * size)  # 1 - erf(|x| / √2)
    half = np.copysign(1 - tail, x)
    half += 1
    half *= x
    half *= np.float32(0.5)
    return half
