"""Tables as programs write them: separators, quotes, encodings, and what is no table."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli.data import table_text
from dlcli.data.table_text import Rows
from dlcli.errors import DataError


@pytest.fixture
def write(tmp_path):
    """Writes bytes or text and gives the path."""

    def make(content, name="people.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


@pytest.mark.parametrize(
    "content",
    [
        "age,job\n30,nurse\n41,clerk\n",
        "\ufeffage,job\r\n30,nurse\r\n41,clerk\r\n",
        "age;job\n30;nurse\n41;clerk",
        "age\tjob\n30\tnurse\n41\tclerk\n",
        "age|job\n30|nurse\n41|clerk\n",
        'sep=;\n"age";"job"\n30;"nurse"\n41;clerk\n',
        "\n age , job \n\n 30 , nurse \n,\n41,clerk\n\n",
        "age,job\r30,nurse\r41,clerk\r",
    ],
)
def test_the_same_table_comes_of_all_its_spellings(write, content):
    table = table_text.read(write(content))
    assert table.columns == {"age": ["30", "41"], "job": ["nurse", "clerk"]}


def test_a_quoted_cell_may_hold_separators_quotes_and_line_breaks(write):
    table = table_text.read(write('a,b\n"x, ""y""\nz",1\n2,3\n'))
    assert table.columns["a"] == ['x, "y"\nz', "2"]
    assert table.lines == [2, 4]
    assert table.place(1, "b").endswith("people.csv:4: column 'b'")


def test_a_comma_is_the_decimal_sign_where_semicolons_separate(write):
    table = table_text.read(write("a;b\n1,5;x, y\n-2;3,25e2\n"))
    assert table.columns == {"a": ["1.5", "-2"], "b": ["x, y", "3.25e2"]}
    assert table_text.read(write('a,b\n"1,5",2\n')).columns["a"] == ["1,5"]


def test_latin_1_is_read_and_said(write):
    table = table_text.read(write("ort,n\nUlm,1\nKöln,2\n".encode("latin-1")))
    assert table.columns["ort"] == ["Ulm", "Köln"]
    (remark,) = table.remarks
    assert remark.endswith("people.csv:3: is not UTF-8, read as Latin-1")
    assert table_text.read(write("ort,n\nKöln,2\n")).remarks == ()


def test_a_column_without_a_name_is_called_by_its_place(write):
    assert list(table_text.read(write(",a\n0,1\n")).columns) == ["column 1", "a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ": the file is empty"),
        ("\n \n", ": holds no table"),
        ("a,b\n", ": holds no rows"),
        ("a,b\n1,2\n3\n", ":3: the row does not fit"),
        ("a,b\n1,2\n3,4,5\n", ":3: the row does not fit"),
        ("a,b,a\n1,2,3\n", ":1: two columns are called 'a'"),
        ("1.5,2,x\n3,4,y\n", ":1: the header is missing"),
        ('a,b\n1,2\n"x,3\n', ":3: is no CSV"),
        ('a,b\n1,"x"y\n', ":2: is no CSV"),
        ("a,b\n1,2\n3,=SUM(A1:A2)\n", ":3: column 'b': '=SUM(A1:A2)' is a formula"),
        ("a,b\n1,2\n".encode("utf-16"), ": is UTF-16"),
        (b"a,b\n1,\0\n", ": is no text"),
        (f"{'n' * 201},b\n1,2\n", ":1: a column's name is too long"),
    ],
)
def test_what_is_no_table_is_named_with_its_line(write, content, message):
    path = write(content)
    with pytest.raises(DataError) as raised:
        table_text.read(path)
    assert raised.value.what.startswith(f"{path}{message}")


def test_a_table_is_bounded(write, monkeypatch):
    monkeypatch.setattr(table_text, "MOST_CELLS", 5)
    with pytest.raises(DataError, match=r":4: the table is too large"):
        table_text.read(write("a,b\n1,2\n3,4\n5,6\n"))
    monkeypatch.setattr(table_text, "MOST_COLUMNS", 1)
    with pytest.raises(DataError, match=r":1: too many columns"):
        table_text.read(write("a,b\n1,2\n"))
    monkeypatch.setattr(table_text, "MOST_BYTES", 3)
    with pytest.raises(DataError, match="too large"):
        table_text.read(write("a,b\n1,2\n"))


def test_a_folder_and_a_file_that_is_not_there_are_no_tables(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(DataError, match="cannot be read"):
            table_text.read(path)


CELLS = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\x85\u2028\u2029"),
    max_size=8,
).map(lambda cell: cell.strip())


@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=6),
    separator=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_spreadsheet_writes_is_read_back(rows, separator, end):
    plain = [[f"v{cell}" for cell in row] for row in rows]  # neither empty, a number nor a formula
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator=end)
    writer.writerows([["first", "second", "third"], *plain])
    lines = enumerate(io.StringIO(out.getvalue(), newline=None), 1)
    read = Rows(lines, "-")
    assert read.separator == separator
    assert [cells for _, cells in read] == plain


@given(st.text(max_size=60))
def test_any_text_is_a_table_or_a_data_error(text):
    rows, names, problem = [], [], None
    try:
        read = Rows(enumerate(io.StringIO(text, newline=None), 1), "-")
        names, rows = read.names, list(read)
    except DataError as error:
        problem = error.what
    assert problem is None or problem.startswith("-:")
    assert all(len(cells) == len(names) for _, cells in rows)
    assert len(set(names)) == len(names)
