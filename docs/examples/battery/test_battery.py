from types import SimpleNamespace

import psutil
import pytest
from lifelog_battery import Battery

from lifelog_lake.collect.contract import CollectorContract


class TestBattery(CollectorContract):
    collector = Battery

    @pytest.fixture(autouse=True)
    def source(self, monkeypatch):
        self.battery = self.full = SimpleNamespace(percent=90, power_plugged=True)
        monkeypatch.setattr(psutil, "sensors_battery", lambda: self.battery, raising=False)

    def give(self):
        self.full.percent -= 1

    def take_away(self):
        self.battery = None

    def bring_back(self):
        self.battery = self.full
