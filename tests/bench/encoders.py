"""Which encoder for screen frames: the measurement behind docs/adr/002-screen-encoding.md.

``python -m tests.bench.encoders`` shows pages in a real Chromium on Xvfb (text, a picture, and
both in several shares), grabs them with mss, encodes each with every candidate and prints a
Markdown table: median milliseconds of CPU time, KiB, PSNR, SSIM, and for the text the share of
characters that tesseract reads right from the decoded file.
"""

from __future__ import annotations

import difflib
import io
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mss
import numpy as np
import numpy.typing as npt
from PIL import Image

from collectors.frames import RGB, STEP
from collectors.images import Encoding, encode
from tests.fixtures.xvfb import Display, start_xvfb
from tests.needs import require_program

WIDTH, HEIGHT = 1920, 1080
REPEATS = 5
WORDS = [
    *("river", "window", "morning", "seven", "letter", "garden", "yellow", "paper", "between"),
    *("quiet", "number", "early", "station", "market", "silver", "bridge", "under", "winter"),
    *("coffee", "answer", "simple", "travel", "mountain", "second", "evening", "journal"),
    *("record", "several", "corner", "method", "pattern", "shadow", "Friday", "1984", "2026"),
]

Encoder = Callable[[Image.Image], bytes]


def _save(**options: object) -> Encoder:
    def encoder(image: Image.Image) -> bytes:
        file = io.BytesIO()
        image.save(file, **options)  # type: ignore[arg-type]
        return file.getvalue()

    return encoder


CANDIDATES: dict[str, Encoder] = {
    **{
        f"WebP lossless m{method} effort {effort}": _save(
            format="WEBP", lossless=True, quality=effort, method=method
        )
        for method, effort in ((0, 0), (0, 30), (0, 50), (0, 75), (0, 100), (1, 50), (4, 75))
    },
    **{
        f"WebP q{quality} m{method}": _save(format="WEBP", quality=quality, method=method)
        for quality in (60, 75, 80, 90)
        for method in (0, 1, 2, 4)
        if method in {0, 4} or quality == 75
    },
    "PNG level 1": _save(format="PNG", compress_level=1),
    "PNG level 6": _save(format="PNG", compress_level=6),
    "JPEG q75 4:2:0": _save(format="JPEG", quality=75),
    "JPEG q75 4:4:4": _save(format="JPEG", quality=75, subsampling=0),
    "JPEG q90 4:4:4": _save(format="JPEG", quality=90, subsampling=0),
    "AVIF speed 10 q60": _save(format="AVIF", speed=10, quality=60, max_threads=1),
    "AVIF speed 8 q60": _save(format="AVIF", speed=8, quality=60, max_threads=1),
}


def text() -> str:
    """About 600 words, the same each time."""
    dice = random.Random(7)
    sentences = []
    for _ in range(60):
        words = [dice.choice(WORDS) for _ in range(10)]
        sentences.append(" ".join(words).capitalize() + ".")
    return " ".join(sentences)


def picture(path: Path) -> None:
    """A photograph's statistics: 1/f noise in three related colours, an edge, grain."""
    dice = np.random.default_rng(7)
    height, width = 1000, 1800
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = 1
    layers = []
    for _ in range(4):
        noise = np.fft.rfft2(dice.standard_normal((height, width))) / frequency**1.2
        layer = np.fft.irfft2(noise, s=(height, width))
        layers.append((layer - layer.mean()) / layer.std())
    shared = layers[0]
    rows, columns = np.mgrid[0:height, 0:width]
    horizon = np.where(rows + 40 * layers[3] > height * 0.55, -60.0, 40.0)
    sun = 90.0 * np.exp(-((rows - 250) ** 2 + (columns - 1200) ** 2) / 20_000)
    channels = [
        120 + 35 * shared + 10 * layer + horizon * weight + sun + dice.normal(0, 3, shared.shape)
        for layer, weight in zip(layers[1:], (1.0, 0.8, 1.3), strict=True)
    ]
    pixels = np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One grabbed screen."""

    name: str
    raw: bytearray
    image: Image.Image
    text: str = ""


def show_and_grab(display: Display, folder: Path) -> list[Page]:
    """The pages as they are on the screen."""
    picture(folder / "picture.png")
    body = text()
    style = "<style>body{margin:24px;font:16px 'DejaVu Sans';width:%dpx}</style>"
    files = {
        "text": style % 1840 + f"<p>{body}</p><p style='font-size:12px'>{body}</p>",
        "picture": "<body style='margin:40px;background:#222'><img src='picture.png'>",
        **{
            f"text with {percent} % picture": style
            % 1840
            + f"<p>{body}</p><img src='picture.png' style='position:fixed;right:0;bottom:0;"
            f"height:{int((percent / 100 * WIDTH * HEIGHT / 1.8) ** 0.5)}px'>"
            for percent in (3, 6, 12)
        },
        "half and half": style % 900 + f"<p>{body}</p>"
        "<img src='picture.png' style='position:fixed;left:980px;top:0;height:1080px'>",
    }
    os.environ["DISPLAY"] = display.name
    pages = []
    with mss.MSS() as screen:
        for name, content in files.items():
            path = folder / f"{name}.html"
            path.write_text(f"<!doctype html><meta charset=utf-8>{content}", "utf-8")
            browser = display.chromium(path.as_uri(), WIDTH, HEIGHT)
            raw = _settled(screen)
            os.killpg(browser.pid, 9)
            browser.wait()
            display.clients.remove(browser)
            image = Image.frombuffer("RGB", (WIDTH, HEIGHT), raw, "raw", "BGRX", 0, 1)
            pages.append(
                Page(
                    name=name, raw=raw, image=image, text=f"{body} {body}" if name == "text" else ""
                )
            )
    return pages


def _settled(screen: mss.MSS) -> bytearray:
    """The screen once it shows something and has been the same for three seconds."""
    last, since = b"", time.monotonic()
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        raw = screen.grab(screen.monitors[1]).raw
        now = bytes(raw)
        if now != last or len(set(now[:: 4 * 997])) < 2:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > 3:
            return raw
        time.sleep(0.3)
    raise TimeoutError("the page did not settle")


def psnr(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Peak signal-to-noise ratio, dB; 99 for equal images."""
    error = float(np.mean((a - b) ** 2))
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def ssim(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Structural similarity of luma with 8x8 blocks (Wang et al. 2004, without the gaussian)."""

    def blocks(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        luma = image @ np.array([0.299, 0.587, 0.114])
        luma = luma[: HEIGHT // 8 * 8, : WIDTH // 8 * 8]
        return luma.reshape(HEIGHT // 8, 8, WIDTH // 8, 8).swapaxes(1, 2).reshape(-1, 64)

    x, y = blocks(a), blocks(b)
    mean_x, mean_y = x.mean(axis=1), y.mean(axis=1)
    covariance = ((x - mean_x[:, None]) * (y - mean_y[:, None])).mean(axis=1)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    bottom = (mean_x**2 + mean_y**2 + c1) * (x.var(axis=1) + y.var(axis=1) + c2)
    return float((top / bottom).mean())


def characters_read(image: Image.Image, expected: str) -> float:
    """Share of the characters that tesseract finds, 0 to 1."""
    program = require_program("tesseract", package="tesseract-ocr")
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        image.save(file.name)
        done = subprocess.run(
            [program, file.name, "-", "--psm", "3"],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"OMP_THREAD_LIMIT": "1"},
        )
    read = " ".join(done.stdout.split())
    matcher = difflib.SequenceMatcher(None, expected, read, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks()) / len(expected)


def measure(page: Page, encoder: Encoder) -> tuple[float, int, float, float, float | None]:
    """Milliseconds, bytes, PSNR, SSIM, characters read."""
    times = []
    content = b""
    for _ in range(REPEATS):
        started = time.process_time()
        content = encoder(page.image)
        times.append(time.process_time() - started)
    decoded = Image.open(io.BytesIO(content)).convert("RGB")
    a, b = np.asarray(page.image, dtype=float), np.asarray(decoded, dtype=float)
    read = characters_read(decoded, page.text) if page.text else None
    return 1000 * statistics.median(times), len(content), psnr(a, b), ssim(a, b), read


def ours(page: Page) -> Encoder:
    """The product's own choice, with the time of choosing."""

    def encoder(_image: Image.Image) -> bytes:
        pixels = np.frombuffer(page.raw, "<u4").reshape(HEIGHT, WIDTH)
        sample = pixels[::STEP, ::STEP].copy()
        return encode(page.raw, (WIDTH, HEIGHT), sample & RGB, Encoding())[0]

    return encoder


def main() -> None:
    """Print the table."""
    display = start_xvfb(f"{WIDTH}x{HEIGHT}")
    try:
        with tempfile.TemporaryDirectory() as folder:
            pages = show_and_grab(display, Path(folder))
    finally:
        display.stop()
    for page in pages:
        colors = len(np.unique(np.frombuffer(page.raw, "<u4").reshape(HEIGHT, WIDTH)[::8, ::8]))
        print(f"\n{page.name}: {colors / (HEIGHT // 8 * WIDTH // 8):.3f} colours a sampled pixel\n")
        print("| encoder | ms | KiB | PSNR dB | SSIM | characters read |")
        print("|---|---|---|---|---|---|")
        for name, encoder in {**CANDIDATES, "**ours**": ours(page)}.items():
            ms, size, noise, likeness, read = measure(page, encoder)
            shown = "" if read is None else f"{100 * read:.1f} %"
            row = f"| {name} | {ms:.0f} | {size / 1024:.0f} | {noise:.1f} | {likeness:.4f} "
            print(f"{row}| {shown} |", flush=True)


if __name__ == "__main__":
    main()
