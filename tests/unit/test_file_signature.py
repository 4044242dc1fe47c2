import os
from pathlib import Path

from prober.file_signature import file_signature


def test_a_file_that_is_left_alone_keeps_its_version(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    assert file_signature(file) == file_signature(str(file)) != ()


def test_another_file_of_the_same_length_and_time_is_another_version(tmp_path: Path) -> None:
    file, other = tmp_path / "file", tmp_path / "other"
    file.write_text("one")
    before = file_signature(file)
    other.write_text("two")
    os.utime(other, ns=(before[3], before[3]))
    other.replace(file)
    assert file_signature(file) != before


def test_a_link_has_the_version_of_what_it_leads_to(tmp_path: Path) -> None:
    one, two, link = tmp_path / "one", tmp_path / "two", tmp_path / "link"
    one.write_text("same")
    two.write_text("same")
    link.symlink_to(one)
    assert file_signature(link) == file_signature(one)
    link.unlink()
    link.symlink_to(two)
    assert file_signature(link) == file_signature(two) != file_signature(one)


def test_a_file_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert file_signature(tmp_path / "nowhere") == ()
