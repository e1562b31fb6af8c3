"""The language of the search box: what it means, and where a mistake is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifelog_lake.recall.search.query import (
    MOST_CHARACTERS,
    All,
    Any,
    Named,
    Not,
    QueryError,
    Within,
    Words,
    parse,
)
from lifelog_lake.recall.search.snippets import marks, snippet
from lifelog_lake.recall.search.words import fold, places, words


def word(*given: str, prefix: bool = False, edits: int = 0) -> Words:
    return Words(words=given, prefix=prefix, edits=edits)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Café", word("cafe")),
        ("two words", All(parts=(word("two"), word("words")))),
        ('"a phrase"', word("a", "phrase")),
        ("snake_case", word("snake", "case")),
        ("東京", word("東", "京")),
        ("repo*", word("repo", prefix=True)),
        ("nearly~", word("nearly", edits=1)),
        ("nearly~2", word("nearly", edits=2)),
        ("a OR b c", Any(parts=(word("a"), All(parts=(word("b"), word("c")))))),
        ("a NOT b", All(parts=(word("a"), Not(part=word("b"))))),
        ("a -b", All(parts=(word("a"), Not(part=word("b"))))),
        ("-(a OR b)", Not(part=Any(parts=(word("a"), word("b"))))),
        ("NOT NOT a", word("a")),
        ("and or not", All(parts=(word("and"), word("or"), word("not")))),
        ('"AND"', word("and")),
        ("a - b | c", All(parts=(word("a"), word("b"), word("c")))),
        ("https://example.org/x 12:30", All(parts=(word("https", "example", "org", "x"),
                                                    word("12", "30")))),
        ('tag:Work,"a,b"', Named(field="tag", values=("work", "a,b"))),
        ('app:"Web Browser"', Named(field="app", values=("web browser",))),
        ("site:www.Example.org/", Named(field="site", values=("example.org",))),
        ("STREAM:web", Named(field="stream", values=("web",))),
        ("after:1970-01-02T00:00:00Z", Within(start=86_400_000_000)),
    ],
)  # fmt: skip
def test_what_a_query_means(text: str, wanted: object) -> None:
    assert parse(text) == wanted


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("   ", 3),
        ("!!! ?", 5),
        ("a AND", 5),
        ("OR a", 0),
        ("a OR OR b", 5),
        ("(a OR b", 0),
        ("a)", 1),
        ("()", 1),
        ('say "hello', 4),
        ("a b~3", 3),
        ("one_two~", 0),
        ("steam:web", 0),
        ("stream:wbe", 7),
        ("tag:", 4),
        ("tag:a,", 4),
        ("before:tomorrowish", 7),
        ("before:2026,2027", 7),
        ("nul\0", 3),
        ("half \ud800", 5),
        ("(" * 60 + "a" + ")" * 60, 50),
        ("a " * 301, 600),
        ("a-" * 301 + "a", 0),
        ("x" * 1_000_000, MOST_CHARACTERS),
    ],
)
def test_a_mistake_has_its_place(text: str, position: int) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert caught.value.position == position
    assert caught.value.hint
    assert caught.value.exit_code == 2


@settings(deadline=None)
@given(st.text(st.sampled_from('ab"()~*:-, \\NOTANDRtagstream2é東')))
def test_any_text_is_a_query_or_a_mistake_within_it(text: str) -> None:
    mistake = None
    try:
        parse(text)
    except QueryError as error:
        mistake = error.position
    assert mistake is None or 0 <= mistake <= len(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Crème BRÛLÉE", "creme brulee"),
        ("cafe\u0301", "cafe"),
        ("Straße Łódź Ærø", "strasse lodz aero"),
        ("\uff46\uff55\uff4c\uff4c \uff76\uff9e \ufb01t", "full ガ fit"),
        ("東京タワー!", "東 京 タ ワ ー"),
        ("한국어", "한 국 어"),
        ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
        ("भारत माता", "भारत माता"),
        ("snake_case, kebab-case", "snake case kebab case"),
        ("a" * 100, "a" * 64),
        ("\U0001f389 !?", ""),
    ],
)
def test_words_are_folded(text: str, wanted: str) -> None:
    assert fold(text) == unicodedata.normalize("NFC", wanted)


#: Letters of many scripts, marks and signs; not the parts of which Korean syllables are made up,
#: which make one together only where they stand in a row.
LETTERS = st.characters(codec="utf-8").filter(lambda c: not 0x1100 <= ord(c) <= 0x11FF)


@settings(deadline=None, max_examples=300)
@given(st.text(LETTERS))
def test_words_are_marked_where_they_stand(text: str) -> None:
    found = list(places(text))
    assert [one for one, _, _ in found] == words(text)
    assert all(0 <= start < end <= len(text) for _, start, end in found)


WANTED = st.builds(
    lambda words, prefix: Words(words=tuple(words), prefix=prefix),
    st.lists(st.text("ab0", min_size=1, max_size=2), min_size=1, max_size=3),
    st.booleans(),
)


@settings(deadline=None, max_examples=200)
@given(st.text("aAbB0_-. ", max_size=30), st.lists(WANTED, max_size=3))
def test_plain_text_is_marked_as_any_other(text: str, wanted: list[Words]) -> None:
    assert marks(text, wanted) == marks(f"{text} \u2013", wanted)


def test_a_snippet_shows_what_was_found() -> None:
    text = "lorem " * 100 + "the Café\nat night " + "ipsum " * 100
    piece = snippet([text], [word("cafe"), word("nig", prefix=True)])
    assert [piece.text[start:end] for start, end in piece.marks] == ["Café", "night"]
    assert piece.text.startswith("… ")
    assert piece.text.endswith(" …")
    assert len(piece.text) < 250
    assert "\n" not in piece.text
    assert snippet(["first", "the second"], [word("second")]).text == "the second"
    assert snippet(["only this"], []).marks == ()
