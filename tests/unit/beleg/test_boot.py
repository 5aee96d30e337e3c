"""Which boot of the machine wrote last, and whether its rows can be missing."""

from pathlib import Path

from beleg.boot import LastBoot


async def test_only_rows_of_another_boot_that_were_not_synced_may_be_missing(
    tmp_path: Path,
) -> None:
    assert LastBoot(tmp_path, "first").may_have_lost  # nobody says
    last = LastBoot(tmp_path, "first")
    last.take_over()
    assert not LastBoot(tmp_path, "first").may_have_lost  # the kernel still has them
    assert LastBoot(tmp_path, "second").may_have_lost
    await last.end()
    assert not LastBoot(tmp_path, "second").may_have_lost


async def test_an_end_before_everything_was_taken_again_does_not_speak_for_it(
    tmp_path: Path,
) -> None:
    LastBoot(tmp_path, "first").take_over()
    await LastBoot(tmp_path, "second").end()
    assert LastBoot(tmp_path, "second").may_have_lost


def test_without_a_boot_id_only_an_orderly_end_speaks(tmp_path: Path) -> None:
    LastBoot(tmp_path, "").take_over()
    assert LastBoot(tmp_path, "").may_have_lost


def test_a_mark_that_cannot_be_read_speaks_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "boot.json").write_text('{"boot_id": "fir')
    assert LastBoot(tmp_path, "first").may_have_lost
    LastBoot(tmp_path, "first").take_over()
    assert not LastBoot(tmp_path, "first").may_have_lost
