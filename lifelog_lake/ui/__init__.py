"""Widgets for notebooks and dashboards. Widget libraries and altair are imported only here.

``app`` the app notebook's tabs · ``timeline`` the first tab · ``bar`` where in time one is ·
``lane``, ``bars`` the altair lanes · ``cursor`` moments on them · ``views`` what is listed below ·
``health``, ``search`` the other tabs · ``shell`` the header. ``static/view.js`` describes the value
that the first one's share.
"""
