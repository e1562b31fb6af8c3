"""Widgets for notebooks and dashboards. Widget libraries and altair are imported only here.

``app`` the app notebook's tabs · ``timeline`` the first tab · ``bar`` the choice of a span ·
``strip`` frames in virtual rows · ``lane`` the altair lane · ``shell`` the header.
"""
