"""Nothing that looks like a patient survives a text on its way out."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.redaction import Pseudonymiser, is_patient_field, scrub, scrub_value

KEY = b"0123456789abcdef0123456789abcdef"

components = st.text("0123456789", min_size=1, max_size=9).map(lambda digits: str(int(digits)))
uids = st.builds(
    lambda root, rest: ".".join([root, *rest]), st.sampled_from(["1", "2"]), st.lists(components, min_size=4)
).filter(lambda uid: 16 <= len(uid) <= 64)
upper_words = st.text("QXZÄÖŁÉ山田", min_size=3, max_size=9)
any_words = st.text("qxzQXZüß田", min_size=3, max_size=9)
caret_names = st.lists(any_words, min_size=2, max_size=5).map("^".join)
spaced_names = st.lists(
    st.lists(upper_words, min_size=1, max_size=3).map(" ".join), min_size=2, max_size=3
).map("^".join)
frames = st.sampled_from(
    [
        "{}",
        "study {} could not be read",
        "GET /dicom-web/studies/{}/series HTTP/1.1",
        "https://pacs.example/wado?objectUID={}&x=1",
        "{{'StudyInstanceUID': '{}'}}",
        "file:///data/{}.dcm.",
        "({})",
        "a={},b=2",
        "before\n{}\nafter",
        "ends with a full stop: {}.",
    ]
)


@given(uid=uids, frame=frames)
def test_a_uid_never_survives(uid: str, frame: str) -> None:
    assert uid not in scrub(frame.format(uid))


@given(uid=uids)
def test_no_tail_of_a_uid_survives_either(uid: str) -> None:
    assert scrub(f"study {uid}!") == "study [uid]!"


@given(name=st.one_of(caret_names, spaced_names), frame=frames)
def test_no_component_of_a_caret_name_survives(name: str, frame: str) -> None:
    clean = scrub(frame.format(name))
    assert not [word for part in name.split("^") for word in part.split() if word in clean]


@given(words=st.lists(st.text("qxzü", min_size=3, max_size=7), min_size=2, max_size=4))
def test_a_quoted_value_with_a_caret_goes_whole_even_in_small_letters(words: list[str]) -> None:
    value = " ".join(words) + "^" + " ".join(reversed(words))
    assert scrub(f"could not decode '{value}' as text") == "could not decode '[name]' as text"


@given(local=st.text(string.ascii_lowercase + ".+", min_size=1), host=st.text("abc", min_size=1))
def test_a_mail_address_never_survives(local: str, host: str) -> None:
    assert f"{local}@{host}.org" not in scrub(f"sent to {local}@{host}.org today")


@given(text=st.text(alphabet=" /?=^@.[]'\"abX019_%5E:&\n", max_size=60))
def test_scrubbing_twice_changes_nothing_more(text: str) -> None:
    once = scrub(text)
    assert scrub(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "mlflow 3.17.2, torch 2.11.0+cpu, python 3.11.7",
        "listening on 127.0.0.1:8000, peer 255.255.255.255:80",
        "forward took 12.25 ms at 0.031",
        "    total = 2 ~~~^~~~ 3\n            ^^^^^^^^^^^^^^",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "at 2026-11-24T10:38:00.123+00:00 job 018f3e2a-7d7e-7c7d-8d7d-000000000001",
        "GET /v1/jobs/42 HTTP/1.1 200",
    ],
)
def test_what_an_engineer_needs_stays_readable(text: str) -> None:
    assert scrub(text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("patient VAN DER BERG^ANNA MARIA came", "patient [name] came"),
        ("/studies/1.2.3/metadata", "/studies/[uid]/metadata"),
        ("wado?requestType=WADO&studyUID=1.2.3", "wado?[query]"),
        ("(0010, 0020) Patient ID  LO: 'MRN-998877'", "[element]"),
        ('PatientID="MRN 55", Modality=CT', "PatientID=[patient], Modality=CT"),
        ("postgresql://user:secret@db.example/serinus", "postgresql://[mail]/serinus"),
        ("born 19800314", "born [date]"),
        ("/x/DOE%5EJANE", "[name]"),
        ("wait ..1.2.840.113619.2.55", "wait ..[uid]"),
        ("UID 1%2E2%2E840%2E113619%2E2", "UID [uid]"),
    ],
)
def test_each_form_is_known(text: str, clean: str) -> None:
    assert scrub(text) == clean


@pytest.mark.parametrize(
    "piece", ["a", "1.", "a@", "/a", "^", "a:", "x^", "'^", "PatientID=", "?a", "studies/"]
)
def test_a_long_text_costs_linear_time(piece: str) -> None:
    started = time.process_time()
    scrub(piece * (200_000 // len(piece)))
    assert time.process_time() - started < 2.0


def test_a_field_that_means_a_patient_is_hidden_whatever_it_holds() -> None:
    fields = {"patient_id": "77", "StudyInstanceUID": "x", "nested": [{"PatientName": "y"}], "slices": 3}
    assert scrub_value(fields) == {
        "patient_id": "[patient]",
        "StudyInstanceUID": "[patient]",
        "nested": [{"PatientName": "[patient]"}],
        "slices": 3,
    }
    assert not is_patient_field("study_key")


@given(uid=uids)
def test_a_pseudonym_is_stable_short_and_survives_scrubbing(uid: str) -> None:
    name = Pseudonymiser(KEY).study(uid)
    assert name == Pseudonymiser(KEY).study(uid + "\0")
    assert len(name) == 19
    assert scrub(f"study {name} read") == f"study {name} read"


@given(uid=uids, other=uids)
def test_pseudonyms_differ_by_identity_key_and_kind(uid: str, other: str) -> None:
    ours = Pseudonymiser(KEY)
    assert (ours.study(uid) == ours.study(other)) == (uid == other)
    assert ours.study(uid) != Pseudonymiser(KEY[::-1]).study(uid)
    assert ours.study(uid)[3:] != ours.patient(uid)[3:]
    assert ours.patient(uid, "site a") != ours.patient(uid, "site b")


def test_a_pseudonymiser_never_shows_its_key_and_refuses_a_short_one() -> None:
    assert "0123" not in repr(Pseudonymiser(KEY))
    with pytest.raises(ValueError, match="16 to 64"):
        Pseudonymiser(b"short")
    with pytest.raises(ValueError, match="empty"):
        Pseudonymiser(KEY).patient("  ")


def test_a_pseudonym_is_the_same_in_every_release() -> None:
    assert Pseudonymiser(KEY).study("1.2.840.113619.2.55.3") == "st-jnzld2cdigvp3kwf"
