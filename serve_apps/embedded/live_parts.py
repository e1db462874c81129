"""The parts of a stack that runs on this machine: whether they live and answer, and how MLflow is started again."""

from __future__ import annotations

from dataclasses import replace

import psutil

from registry.server import find_embedded
from serve_apps.embedded.health import API_IS_AWAY, registry_answers, waiting_for
from serve_apps.embedded.lifecycle import Progress, start_registry
from serve_apps.embedded.stack_record import Stack
from serve_apps.embedded.supervise import Registry
from serve_apps.settings import Settings


class LiveParts:
    """Of the stack of one state folder. A site's own MLflow is its own affair, and counts as well."""

    def __init__(self, settings: Settings, say: Progress) -> None:
        self._settings = settings
        self._say = say

    def head_lives(self) -> bool:
        """The head ends with the first of its own processes; as our child it stays behind as a zombie."""
        stack = Stack.load(self._settings.paths.stack)
        if stack is None or stack.ray_pid is None:
            return False
        try:
            return psutil.Process(stack.ray_pid).status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def api_answers(self) -> bool:
        return waiting_for(self._settings) != API_IS_AWAY

    def registry(self) -> Registry:
        if self._settings.mlflow_url is not None or registry_answers(self._settings):
            return Registry.ANSWERS
        return Registry.GONE if find_embedded(self._settings.paths.mlflow) is None else Registry.SILENT

    def start_registry(self) -> None:
        pid = start_registry(self._settings, self._say)
        stack = Stack.load(self._settings.paths.stack)
        if stack is not None:
            replace(stack, mlflow_pid=pid).save(self._settings.paths.stack)
