"""Files that are written whole."""

from pathlib import Path

from spine.durable import write_whole


def test_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    write_whole(tmp_path / "salts.ndjson", b"secret")
    write_whole(tmp_path / "salts.ndjson", b"another")
    assert (tmp_path / "salts.ndjson").read_bytes() == b"another"
    assert (tmp_path / "salts.ndjson").stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == ["salts.ndjson"]
