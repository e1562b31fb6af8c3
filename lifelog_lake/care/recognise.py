"""Reads the words in a picture: engines behind one small interface.

Tesseract is the default: its library rides in a wheel, its language data is the system's
(``tesseract-ocr-eng``). RapidOCR needs neither, takes ten times as long and as much memory, and
reads many scripts with one model. One thread a process, whatever the machine has: more make
Tesseract slower, and capture comes first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lifelog_lake.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from PIL import Image

_DATA = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/share/tesseract/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
    r"C:\Program Files\Tesseract-OCR\tessdata",
)
#: Pixels of a picture's longer side beyond which RapidOCR makes it smaller first.
MOST_SIDE_PX = 8192


#: What is read is enlarged so, as engines want larger letters than screens have: code of 13 px is
#: read right then, and 0.92 of it otherwise. Wider screens have larger letters (in pixels) already.
ENLARGED, WIDEST_PX = 1.75, 2560


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word and its box, px from the picture's upper left corner; confidence 0 to 1.

    ``begins_line``: it is the first of a line of text.
    """

    text: str
    left: int
    top: int
    width: int
    height: int
    confidence: float
    begins_line: bool = False


class Recogniser(Protocol):
    """An engine: ``name`` and ``version`` (of what it gives) are kept with each row."""

    name: str
    version: int
    languages: str

    def words(self, picture: Image.Image) -> list[Word]:
        """The words of a picture in shades of grey, in reading order."""

    def close(self) -> None:
        """Give its memory back."""


def recogniser(languages: Sequence[str], engine: str = "tesseract") -> Recogniser:
    """An engine by its name; Tesseract is for some languages, as it names them.

    Raises :class:`MissingExtra`, and :class:`UsageError` for a language without data.
    """
    return RapidOcr() if engine == "rapidocr" else Tesseract(languages)


class Tesseract:
    """Tesseract's LSTM engine by tesserocr."""

    name, version = "tesseract", 2

    def __init__(self, languages: Sequence[str]) -> None:
        os.environ["OMP_THREAD_LIMIT"] = "1"  # read when its library is loaded
        try:
            import tesserocr
        except ModuleNotFoundError as error:
            raise MissingExtra("Recognising text", "hub") from error
        self.languages = "+".join(languages)
        place, there = _data(tesserocr)
        if missing := [one for one in languages if one not in there]:
            package = f"tesseract-ocr-{missing[0].replace('_', '-')}"
            raise UsageError(
                f"Tesseract has no data for the language '{missing[0]}'.",
                hint=(f"On Debian and Ubuntu: apt install {package}. " if _is_linux() else "")
                + "TESSDATA_PREFIX names the directory of the data elsewhere; "
                "[flows.ocr] enabled = false turns recognition off.",
            )
        # Of each empty band it says on stderr that a box lies outside; what fails raises anyway.
        tesserocr.set_leptonica_log_level(tesserocr.LeptLogLevel.NONE)
        self._engine: Any = tesserocr
        self._api: Any = tesserocr.PyTessBaseAPI(
            path=place, lang=self.languages, psm=tesserocr.PSM.AUTO, oem=tesserocr.OEM.LSTM_ONLY
        )

    def words(self, picture: Image.Image) -> list[Word]:
        """See :class:`Recogniser`."""
        from PIL import Image, ImageOps, ImageStat

        # Bright on dark takes twice as long to read as the other way round. Leaving out unsure
        # words loses more right ones than wrong.
        dark = ImageStat.Stat(picture).median[0] < 128
        shown = ImageOps.invert(picture) if dark else picture
        scale = ENLARGED if picture.width <= WIDEST_PX else 1.0
        if scale > 1:
            size = round(picture.width * scale), round(picture.height * scale)
            shown = shown.resize(size, Image.Resampling.LANCZOS)
        self._api.SetImage(shown)
        try:
            self._api.Recognize()
            return list(self._found(scale))
        finally:
            self._api.Clear()

    def close(self) -> None:
        """See :class:`Recogniser`."""
        self._api.End()

    def _found(self, scale: float) -> Iterator[Word]:
        level = self._engine.RIL
        found = self._api.GetIterator()
        if found is None:
            return
        begins = False
        for one in self._engine.iterate_level(found, level.WORD):
            begins |= one.IsAtBeginningOf(level.TEXTLINE)
            box = one.BoundingBox(level.WORD)
            if one.Empty(level.WORD) or box is None:
                continue
            text = one.GetUTF8Text(level.WORD).strip()
            if not text:
                continue
            left, top, right, bottom = (round(edge / scale) for edge in box)
            yield Word(
                text=text,
                left=left,
                top=top,
                width=right - left,
                height=bottom - top,
                confidence=one.Confidence(level.WORD) / 100,
                begins_line=begins,
            )
            begins = False


class RapidOcr:
    """PaddleOCR's small models (PP-OCRv6) by RapidOCR and ONNX Runtime.

    Its models ride in its wheel and are named one by one: what isn't named it would fetch.
    """

    name, version, languages = "rapidocr", 1, "multi"

    def __init__(self) -> None:
        try:
            import onnxruntime
            import rapidocr
        except ModuleNotFoundError as error:
            raise MissingExtra("Recognising text by RapidOCR", "rapidocr") from error
        del onnxruntime  # RapidOCR doesn't depend on it, and would only miss it later
        place = Path(str(rapidocr.__file__)).parent / "models"
        models = {part: sorted(place.glob(f"*_{part.lower()}_*.onnx")) for part in ("Det", "Rec")}
        if not all(models.values()):
            raise UsageError(
                "This version of RapidOCR brings no models.",
                hint='Install the one that fits: pip install "lifelog-lake[rapidocr]"',
            )
        threads = ("intra_op_num_threads", "inter_op_num_threads")
        self._engine: Any = rapidocr.RapidOCR(
            params={
                "Global.log_level": "error",  # a frame without words is no warning
                "Global.use_cls": False,  # a screen isn't upside down
                "Global.return_word_box": True,
                # As it is shown: enlarging takes twice the time and reads code worse.
                "Global.max_side_len": MOST_SIDE_PX,
                "Det.limit_side_len": MOST_SIDE_PX,
                "Det.limit_type": "max",
                **{f"EngineConfig.onnxruntime.{name}": 1 for name in threads},
                **{f"{part}.model_path": str(found[0]) for part, found in models.items()},
            }
        )

    def words(self, picture: Image.Image) -> list[Word]:
        """See :class:`Recogniser`."""
        import cv2
        import numpy as np

        cv2.setNumThreads(1)
        found = self._engine(np.asarray(picture.convert("RGB")))
        if not found.txts:  # it gives a word of nothing where there is none
            return []
        return [word for line in found.word_results for word in _line(line)]

    def close(self) -> None:
        """See :class:`Recogniser`."""
        self._engine = None


def _line(found: Sequence[tuple[str, float, Sequence[Sequence[float]]]]) -> Iterator[Word]:
    """The words of a line with the corners of their boxes."""
    begins = True
    for text, confidence, corners in found:
        if not text.strip():
            continue
        across, down = ([round(corner[n]) for corner in corners] for n in (0, 1))
        yield Word(
            text=text.strip(),
            left=max(min(across), 0),
            top=max(min(down), 0),
            width=max(across) - max(min(across), 0),
            height=max(down) - max(min(down), 0),
            confidence=float(confidence),
            begins_line=begins,
        )
        begins = False


def _data(tesserocr: Any) -> tuple[str, set[str]]:
    """Where Tesseract's data lies, and the languages that are there."""
    given = os.environ.get("TESSDATA_PREFIX")
    for place in (given,) if given else _DATA:
        if Path(place).is_dir():
            _, languages = tesserocr.get_languages(f"{place.rstrip('/')}/")
            return place, set(languages)
    return "", set()


def _is_linux() -> bool:
    return sys.platform.startswith("linux")
