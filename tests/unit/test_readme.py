"""CI runs the README's commands (`tests/readme.py`); here: none of them is overlooked."""

from __future__ import annotations

from pathlib import Path

from tests.readme import README, RUN, SHOWN, commands_of, curl_of, exports_of

ROOT = Path(__file__).parents[2]
ROWS = """
| `serinus up` · `down` | the stack |
| `serinus submit STUDY_UID\\|FOLDER` · `job ID` | read |
| `serinus keys create\\|list` | keys |
| `SERINUS_DEVICE` | `auto` | no command |
"""


def test_every_command_of_a_row_is_found_with_each_of_its_alternatives() -> None:
    found = ["up", "down", "submit", "job", "keys create", "keys list"]
    assert commands_of(ROWS) == [f"serinus {command}" for command in found]


def test_every_command_of_the_readme_is_run_or_shown_elsewhere() -> None:
    assert len(commands_of(README)) > 25
    assert set(commands_of(README)) - (RUN.keys() | SHOWN.keys()) == set()


def test_what_shows_a_command_is_there() -> None:
    assert all((ROOT / where).exists() for where in SHOWN.values() if not where.startswith("make "))


def test_the_call_of_the_readme_is_one_line() -> None:
    call = curl_of(README)
    assert call.startswith("curl -sf ")
    assert "\n" not in call
    assert "orchestrator_key" in call


def test_what_is_set_before_a_command_is_found_also_over_two_lines() -> None:
    (token,) = exports_of(README)
    assert token == "export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=.serinus/keys/ray_token"
