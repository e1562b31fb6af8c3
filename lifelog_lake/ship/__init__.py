"""Spool -> blobs -> table -> acknowledge. The only part that knows both spool and lake."""

from lifelog_lake.ship.shipper import Shipped, Shipper

__all__ = ["Shipped", "Shipper"]
