"""Everything that a user wrote is escaped; what is cut says so."""

from amortized.display import html, text

BAD = "<script>alert('x')</script>"


def test_every_piece_escapes():
    pieces = [html.table([BAD, "n"], [[BAD, "1"]]), html.facts({BAD: BAD}), html.paragraph(BAD)]
    for piece in [*pieces, html.card(BAD, *pieces, tone="bad"), html.frame(BAD, BAD)]:
        assert "<script" not in piece and "&lt;script&gt;" in piece
    assert "alert('" not in html.frame(BAD, BAD), "a quote would end the attribute"


def test_words_to_the_left_numbers_to_the_right():
    found = html.table(["a", "b"], [["x", "-1"]], words=(0,))
    assert '<td style="text-align:left">x</td><td style="text-align:right">\u22121</td>' in found


def test_a_text_is_cut_to_fifteen_lines():
    long = "\n".join(map(str, range(100)))
    assert text.cut("short") == "short"
    cut = text.cut(long).split("\n")
    assert len(cut) == 15 and cut[-1] == "99" and "86 more lines" in cut[-2]


def test_only_eight_sites_are_named():
    assert text.shapes({f"s{k}": () for k in range(10)}).endswith("s7, 2 more")
