import re
from pathlib import Path

import snnc
from snnc.codes import FAMILIES, catalogue, exit_code, exit_of
from snnc.diagnostics import error, warning

ROOT = Path(snnc.__file__).parent
SOURCES = [
    path
    for folder in (ROOT, ROOT / "frontends", ROOT / "passes", ROOT / "backends")
    for path in folder.rglob("*.py")
    if path.name != "codes.py" and path.name != "diagnostics.py"
]


def used() -> dict[str, Path]:
    """Every code that a source mentions as a string of its own."""
    return {
        code: path
        for path in SOURCES
        for code in re.findall(r'"([EWR][0-9]{3})"', path.read_text(encoding="utf-8"))
    }


def test_every_code_in_the_tree_is_in_the_catalogue() -> None:
    missing = {code: path.name for code, path in used().items() if code not in catalogue()}
    assert not missing


def test_every_code_of_the_catalogue_is_used() -> None:
    assert set(catalogue()) <= set(used())


def test_entries_are_sorted_and_say_why_and_what_to_do() -> None:
    order = [(code[1:], code[0]) for code in catalogue()]
    assert order == sorted(order)
    for code, entry in catalogue().items():
        assert re.fullmatch(r"[EWR][0-9]{3}", code)
        assert code[1] in FAMILIES
        assert entry.title == entry.title.strip(".")
        assert entry.why.endswith(".")
        assert entry.fix.endswith(".")


def test_codes_say_what_kind_of_message_they_are() -> None:
    kinds = {"error": "E", "fail": "E", "warning": "W", "remark": "R"}
    call = re.compile(r'\b(error|fail|warning|remark)\(\s*"([A-Z])[0-9]{3}"')
    found = [
        (kind, letter, path.name)
        for path in SOURCES
        for kind, letter in call.findall(path.read_text(encoding="utf-8"))
    ]
    assert len(found) > 100
    assert not [f for f in found if kinds[f[0]] != f[1]]


def test_exit_codes() -> None:
    assert [exit_of(c) for c in ("E001", "E101", "E210", "E310", "E407")] == [2, 3, 4, 5, 3]
    assert [exit_of(c) for c in ("E320", "E410", "E430", "E601", "E901")] == [2, 7, 9, 8, 1]
    assert exit_code([warning("W424", "x"), error("E410", "x"), error("E601", "x")]) == 7
    assert exit_code([warning("W424", "x")]) == 0
