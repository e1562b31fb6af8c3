"""The sound collector keeps the contract of collectors; alone in its file, as sound takes time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from collectors.audio import AudioCollector
from lifelog_lake.collect.contract import CollectorContract
from tests.fixtures.sound import Sound, a_sound_server


@pytest.fixture(scope="module")
def microphone() -> Iterator[Sound]:
    """A sound server that this process hears."""
    with pytest.MonkeyPatch.context() as patch:
        sound = a_sound_server()
        for name, value in sound.env.items():
            patch.setenv(name, value)
        yield sound
        sound.end()


class TestAudio(CollectorContract):
    collector = AudioCollector
    settings = {"interval_s": 5}  # noqa: RUF012 - replaced, never changed

    @pytest.fixture(autouse=True)
    def source(self, microphone: Sound) -> None:
        self.sound = microphone

    def give(self) -> None:
        """It never stops giving."""

    def take_away(self) -> None:
        self.sound.unplug()

    def bring_back(self) -> None:
        self.sound.plug()
