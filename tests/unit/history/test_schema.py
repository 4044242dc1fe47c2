import hashlib
from importlib.resources import files

from prober.history.schema import FORMAT, statements

RELEASED = {
    "0001_begin.sql": "b7f3a8e4637fb04c9e3e95d8c787719f1ef817db4660cbbf678d6df63da31f73",
}


def test_no_migration_is_edited_once_files_were_written_with_it() -> None:
    scripts = files("prober.history").joinpath("migrations").iterdir()
    found = {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in scripts}
    assert found == RELEASED
    assert FORMAT.version == len(RELEASED)


def test_a_script_falls_into_statements_also_where_a_comment_has_a_semicolon() -> None:
    script = "-- one; two\nCREATE TABLE a (\n  b TEXT\n);\nCREATE INDEX c ON a (b);\n"
    assert len(statements(script)) == 2
