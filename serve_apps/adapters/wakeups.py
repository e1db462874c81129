"""Moved to `serve_apps.application.wakeups`; goes with the last import of it from here."""

from serve_apps.application.wakeups import JobWakeups, Wakeup, Wakeups, heard

__all__ = ["JobWakeups", "Wakeup", "Wakeups", "heard"]
