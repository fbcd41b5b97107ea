import pytest
from acme.tools.release import newest, notes


def test_the_newest_release_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert newest.main(["1.9", "1.10", "2.0rc1"]) == 0
    assert capsys.readouterr().out == "1.10\n"


def test_notes_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert notes.main(["Téléphone rouge", "1.10", "It rings."]) == 0
    assert capsys.readouterr().out == "# Téléphone rouge 1.10 {#telephone-rouge-1-10}\n\n- It rings.\n"
