"""The model owner's own tool: MLflow's page of a version, on the embedded server as Serinus starts it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from registry.client import RegistryClient
from registry.register import register_model
from registry.server import EmbeddedServer
from serve_apps.control.page_writer import PageWriter
from serve_apps.control.pages import REASON_TAG, STATE_TAG, Pages, VersionPage, line_in
from tests.integration.registry.tiny import tiny_package
from tests.mlflow_page import MlflowPage, MlflowPageError

MODEL = "tiny-in-the-browser"


@pytest.fixture(scope="module")
def two_versions(mlflow_server: EmbeddedServer, signing_key: Ed25519PrivateKey) -> None:
    for _ in range(2):
        register_model(tiny_package(MODEL), tracking_uri=mlflow_server.url, signing_key=signing_key)


@pytest.fixture(scope="module")
def page(mlflow_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowPage]:
    with MlflowPage(mlflow_server.url, pictures=tmp_path_factory.mktemp("pictures")) as opened:
        yield opened


@pytest.fixture
def aliased(client: RegistryClient, two_versions: None) -> RegistryClient:
    """Version 1 is champion, and nothing else has an alias."""
    client.set_alias(MODEL, "champion", "1")
    client.delete_alias(MODEL, "challenger")
    return client


def _aliases(client: RegistryClient) -> dict[str, str]:
    return dict(client.models()[MODEL].aliases)


def test_a_challenger_is_named_on_its_page(page: MlflowPage, aliased: RegistryClient) -> None:
    page.add_alias(MODEL, "2", "challenger")
    assert _aliases(aliased) == {"champion": "1", "challenger": "2"}
    assert page.aliases(MODEL, "2") == ("challenger",)


def test_champion_moves_to_the_version_on_whose_page_it_is_added(
    page: MlflowPage, aliased: RegistryClient
) -> None:
    aliased.set_alias(MODEL, "challenger", "2")
    page.add_alias(MODEL, "2", "champion")
    assert _aliases(aliased) == {"champion": "2", "challenger": "2"}
    assert page.aliases(MODEL, "1") == ()
    assert sorted(page.aliases(MODEL, "2")) == ["challenger", "champion"]


def test_adding_an_alias_that_the_version_has_keeps_it(page: MlflowPage, aliased: RegistryClient) -> None:
    page.add_alias(MODEL, "1", "champion")
    assert _aliases(aliased) == {"champion": "1"}


def test_a_server_that_does_not_answer_is_told(free_port: Callable[[], int], tmp_path: Path) -> None:
    with (
        MlflowPage(f"http://127.0.0.1:{free_port()}", pictures=tmp_path) as page,
        pytest.raises(MlflowPageError, match="the page of version 1"),
    ):
        page.aliases(MODEL, "1")


def test_an_alias_set_elsewhere_is_shown_by_the_next_visit(page: MlflowPage, aliased: RegistryClient) -> None:
    assert page.aliases(MODEL, "2") == ()
    aliased.set_alias(MODEL, "challenger", "2")
    assert page.aliases(MODEL, "2") == ("challenger",)


def test_a_removed_alias_leaves_the_others(page: MlflowPage, aliased: RegistryClient) -> None:
    aliased.set_alias(MODEL, "challenger", "1")
    page.remove_alias(MODEL, "1", "challenger")
    assert _aliases(aliased) == {"champion": "1"}


def test_the_page_tells_where_serinus_put_the_version(
    page: MlflowPage, aliased: RegistryClient, tmp_path: Path
) -> None:
    aliased.set_tag(MODEL, "2", STATE_TAG, "ready as challenger")
    aliased.set_tag(MODEL, "2", REASON_TAG, "5 % of the studies since 14:00")
    shown = page.tags(MODEL, "2")
    assert shown[STATE_TAG] == "ready as challenger"
    assert shown[REASON_TAG] == "5 % of the studies since 14:00"
    picture = page.screenshot(tmp_path / "version.png", showing=REASON_TAG)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_state_stands_where_a_page_opens_and_the_owners_words_below(
    page: MlflowPage, aliased: RegistryClient, tmp_path: Path
) -> None:
    aliased.describe_version(MODEL, "2", "Trained on phantoms.")
    line, writer = "challenger, answers 5 % of the patients as canary.", PageWriter(aliased)
    told = Pages(
        {(MODEL, "2"): VersionPage("warm as challenger", "ready", line)}, {MODEL: "routing is frozen."}
    )
    asyncio.run(written(writer, told, aliased))
    assert page.first_screen(MODEL, "2", line, tmp_path / "version.png")
    assert page.first_screen(MODEL, "2", "Trained on phantoms.", tmp_path / "owner.png")
    assert page.first_screen(MODEL, None, "routing is frozen.", tmp_path / "model.png")
    assert line_in(aliased.version(MODEL, "2").description) == line
    writer.close()


async def written(writer: PageWriter, pages: Pages, client: RegistryClient) -> None:
    models = client.models()
    writer.write(pages, models)
    while writer.is_writing:
        await asyncio.sleep(0.01)


def test_a_missing_version_is_told_with_a_picture(mlflow_server: EmbeddedServer, tmp_path: Path) -> None:
    with (
        MlflowPage(mlflow_server.url, pictures=tmp_path, wait_s=2.0) as page,
        pytest.raises(MlflowPageError, match="the page of version 99") as raised,
    ):
        page.add_alias(MODEL, "99", "champion")
    assert Path(str(raised.value).rpartition("see ")[2]).parent == tmp_path
    assert list(tmp_path.glob("*.png"))


async def test_an_event_loop_of_the_caller_is_no_hindrance(page: MlflowPage, aliased: RegistryClient) -> None:
    assert page.aliases(MODEL, "1") == ("champion",)
