"""Capture on one device: what a collector is, its process, and the supervisor over them."""
