"""MLflow's REST interface, as little of it as serving needs: no MLflow import, short timeouts, one retry.

MLflow's own client waits 246 s for a server that is down. A control loop may not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from core.errors import ModelRefused, RegistryUnavailable, UnknownModel

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
PROXIED = "mlflow-artifacts:"
LOGGED = "models:/"
CHUNK_BYTES = 1 << 20
DOWNLOAD_READ_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model, what its aliases point at now (alias → version), and what its page says of it."""

    name: str
    aliases: Mapping[str, str]
    description: str = ""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One registered version. `status` is MLflow's own (READY when its files are there)."""

    name: str
    version: str
    tags: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    model_id: str = ""
    run_id: str = ""
    status: str = "READY"
    description: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """A file of an artifact: its path below the artifact's root, and its size in bytes."""

    path: str
    size: int


class RegistryRefused(RegistryUnavailable):
    """MLflow answers and would not do it; what it said is not repeated."""


class RegistryClient:
    """One MLflow server. RegistryUnavailable when it does not answer, UnknownModel for what it lacks."""

    def __init__(self, base_url: str, timeout_s: float = 2.0, *, auth: tuple[str, str] | None = None) -> None:
        self._http = httpx.Client(
            base_url=base_url.rstrip("/"),
            timeout=timeout_s,
            auth=auth,
            trust_env=False,
            transport=httpx.HTTPTransport(retries=1),  # connecting only: nothing was sent yet
        )

    def close(self) -> None:
        self._http.close()

    def healthy(self) -> bool:
        """Whether MLflow answers now."""
        try:
            return self._http.get("/health").status_code == 200
        except httpx.HTTPError:
            return False

    def models(self) -> Mapping[str, RegisteredModel]:
        """All models with all their aliases, by name: one request per thousand models."""
        found: dict[str, RegisteredModel] = {}
        token = ""
        while True:
            page = self.get("/registered-models/search", {"max_results": "1000", "page_token": token})
            for entry in page.get("registered_models", []):
                found[entry["name"]] = _model(entry)
            token = page.get("next_page_token", "")
            if not token:
                return found

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """Every version of a model, newest first (up to 1000). MLflow leaves aliases out of these."""
        escaped = name.replace("'", "''")
        page = self.get("/model-versions/search", {"filter": f"name='{escaped}'", "max_results": "1000"})
        return tuple(_version(entry) for entry in page.get("model_versions", []))

    def all_versions(self) -> Mapping[str, tuple[ModelVersion, ...]]:
        """Every version of every model, by model, with its tags: one request per thousand versions."""
        found: dict[str, list[ModelVersion]] = {}
        token = ""
        while True:
            page = self.get("/model-versions/search", {"max_results": "1000", "page_token": token})
            for entry in page.get("model_versions", []):
                found.setdefault(entry["name"], []).append(_version(entry))
            token = page.get("next_page_token", "")
            if not token:
                return {name: tuple(versions) for name, versions in found.items()}

    def model(self, name: str) -> RegisteredModel:
        """One model; raises UnknownModel when it was deleted or never existed."""
        return _model(self.get("/registered-models/get", {"name": name})["registered_model"])

    def version(self, name: str, version: str) -> ModelVersion:
        """One version with its tags; raises UnknownModel when it was deleted or never existed."""
        return _version(self.get("/model-versions/get", {"name": name, "version": version})["model_version"])

    def set_tag(self, name: str, version: str, key: str, value: str) -> None:
        self._send(
            "POST", "/model-versions/set-tag", {"name": name, "version": version, "key": key, "value": value}
        )

    def describe_version(self, name: str, version: str, description: str) -> None:
        """Set what the version's page says of it; MLflow takes at most 5000 characters."""
        body = {"name": name, "version": version, "description": description}
        self._send("PATCH", "/model-versions/update", body)

    def describe_model(self, name: str, description: str) -> None:
        """Set what the model's page says of it; MLflow takes at most 5000 characters."""
        self._send("PATCH", "/registered-models/update", {"name": name, "description": description})

    def delete_tag(self, name: str, version: str, key: str) -> None:
        self._send("DELETE", "/model-versions/delete-tag", {"name": name, "version": version, "key": key})

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version; two first settings at once make MLflow answer 400, so try twice."""
        body = {"name": name, "alias": alias, "version": version}
        try:
            self._send("POST", "/registered-models/alias", body)
        except RegistryRefused:
            self._send("POST", "/registered-models/alias", body)

    def move_alias(self, name: str, alias: str, expected: str | None, version: str) -> bool:
        """Point an alias at a version if it names `expected` until now; whether it names the version then.

        MLflow has no compare and swap: who moves the alias in the milliseconds between is overwritten.
        """
        found = self.model(name).aliases.get(alias)
        if found == version:
            return True
        if found != expected:
            return False
        self.set_alias(name, alias, version)
        return True

    def delete_alias(self, name: str, alias: str) -> None:
        self._send("DELETE", "/registered-models/alias", {"name": name, "alias": alias})

    def webhooks(self) -> tuple[Mapping[str, Any], ...]:
        """Every webhook of the server, as it describes them; secrets are never among it."""
        return tuple(self.get("/webhooks", {"max_results": "1000"}).get("webhooks", []))

    def create_webhook(self, wanted: Mapping[str, Any]) -> None:
        self._send("POST", "/webhooks", wanted)

    def delete_webhook(self, webhook_id: str) -> None:
        self._send("DELETE", f"/webhooks/{quote(webhook_id, safe='')}", {})

    def artifact_root(self, version: ModelVersion) -> str:
        """Where the server's artifact proxy keeps the version's files."""
        uri = version.source
        if uri.startswith(LOGGED) and not _model_id(uri):  # a copy ("Promote model") names another version
            query = {"name": version.name, "version": version.version}
            uri = self.get("/model-versions/get-download-uri", query)["artifact_uri"]
        if model_id := _model_id(uri):
            logged = self.get(f"/logged-models/{quote(model_id, safe='')}", {})
            uri = logged["model"]["info"]["artifact_uri"]
        if not uri.startswith(PROXIED):
            raise ModelRefused("the version's files are not behind MLflow's artifact proxy")
        return uri.removeprefix(PROXIED).lstrip("/")

    def files(self, root: str) -> tuple[ArtifactFile, ...]:
        """Every file below an artifact root; the paths are the server's words: check before joining them."""
        return tuple(self._walk(root, ""))

    def _walk(self, root: str, folder: str) -> Iterator[ArtifactFile]:
        listing = self._request("GET", ARTIFACTS, params={"path": f"{root}/{folder}".rstrip("/")}).json()
        for entry in listing.get("files", []):
            path = f"{folder}/{entry['path']}".lstrip("/")
            if entry["is_dir"]:
                yield from self._walk(root, path)
            else:
                yield ArtifactFile(path, int(entry.get("file_size", 0)))

    @contextmanager
    def download(self, root: str, path: str, offset: int = 0) -> Iterator[tuple[bool, Iterator[bytes]]]:
        """Stream a file from byte `offset`; yields (whether the server resumed there, the chunks)."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        timeout = httpx.Timeout(self._http.timeout.connect, read=DOWNLOAD_READ_TIMEOUT_S)
        url = f"{ARTIFACTS}/{quote(f'{root}/{path}')}"
        try:
            with self._http.stream("GET", url, headers=headers, timeout=timeout) as reply:
                _raise_for(reply)
                yield reply.status_code == 206, reply.iter_bytes(CHUNK_BYTES)
        except httpx.HTTPError as error:
            raise RegistryUnavailable("MLflow broke off while an artifact was read") from error

    def upload(self, root: str, path: str, content: bytes) -> None:
        """Write a file below an artifact root, over the one that is there."""
        self._request("PUT", f"{ARTIFACTS}/{quote(f'{root}/{path}')}", content=content)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What MLflow answers to a body that is posted to a path below its API."""
        return dict(self._request("POST", API + path, json=dict(body)).json())

    def get(self, path: str, params: Mapping[str, str]) -> dict[str, Any]:
        """What MLflow answers at a path below its API; parameters that are empty are left out."""
        present = {key: value for key, value in params.items() if value}
        return dict(self._request("GET", API + path, params=present).json())

    def _send(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        self._request(method, API + path, json=dict(body))

    def _request(self, method: str, url: str, **arguments: Any) -> httpx.Response:
        try:
            reply = self._http.request(method, url, **arguments)
        except httpx.HTTPError as error:
            raise RegistryUnavailable("MLflow does not answer") from error
        _raise_for(reply)
        return reply


def _raise_for(reply: httpx.Response) -> None:
    if reply.status_code == 404:
        raise UnknownModel("MLflow has no such model, version or file")
    if reply.status_code == 400:
        raise RegistryRefused("MLflow refused the request as malformed")
    if reply.status_code in (401, 403):
        raise RegistryRefused("MLflow does not allow this site to do that")
    if not reply.is_success:
        raise RegistryUnavailable(f"MLflow answered {reply.status_code}")


def _model(entry: Mapping[str, Any]) -> RegisteredModel:
    return RegisteredModel(entry["name"], _aliases(entry), entry.get("description", ""))


def _aliases(entry: Mapping[str, Any]) -> Mapping[str, str]:
    return {alias["alias"]: str(alias["version"]) for alias in entry.get("aliases", [])}


def _version(entry: Mapping[str, Any]) -> ModelVersion:
    return ModelVersion(
        name=entry["name"],
        version=str(entry["version"]),
        tags={tag["key"]: tag.get("value", "") for tag in entry.get("tags", [])},
        source=entry.get("source", ""),
        model_id=_model_id(entry.get("source", "")),
        run_id=entry.get("run_id", ""),
        status=entry.get("status", "READY"),
        description=entry.get("description", ""),
    )


def _model_id(source: str) -> str:
    """The logged model behind a version; MLflow's REST answer leaves its own field for it empty."""
    return source.removeprefix(LOGGED) if source.startswith(LOGGED + "m-") else ""
