"""Every CSV of labels: as Excel, pandas and editors write it, and what cannot be meant."""

import numpy as np
import pytest

from jaxnoise.config import InputError
from jaxnoise.noise_files.table import read_table


def table(tmp_path, content):
    path = tmp_path / "x.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, "--noise_file=x.csv")


def refused(tmp_path, content):
    with pytest.raises(InputError) as caught:
        table(tmp_path, content)
    assert str(caught.value).startswith("--noise_file=x.csv: ") and "\n" not in str(caught.value)
    return str(caught.value).removeprefix("--noise_file=x.csv: ")


PLAIN = "file,label,label_noisy\nÄ/1.png,3,4\nb/2.png,5,5\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.encode("utf-8-sig"),
        PLAIN.replace(",", "\t").encode("utf-16"),
        PLAIN.replace(",", ";").encode("cp1252"),
        "label_noisy, Label ,FILE\n4,3,Ä/1.png\n5,5,b/2.png\n",
        '"path","label","label_noisy"\n"Ä/1.png","3","4"\n\n"b/2.png","5","5"\n\n',
        ",filename,label,label_noisy\n0,Ä/1.png,3,4\n1,b/2.png,5,5\n",  # pandas, with its index
        PLAIN.rstrip("\n"),
    ],
    ids=range(12),
)
def test_all_spellings_of_a_table_say_the_same(tmp_path, content):
    found = table(tmp_path, content)
    assert found.text("file") == ["Ä/1.png", "b/2.png"] and len(found) == 2
    np.testing.assert_array_equal(found.numbers("label"), [3, 5])
    np.testing.assert_array_equal(found.numbers("label_noisy"), [4, 5])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty; required are a header and rows below it"),
        ("label,label_noisy\n1,2\n3\n", "line 3 has 1 entry; required is one for each of"),
        (
            "label,label_noisy\n1,2,3\n",
            "line 2 has 3 entries; required is one for each of label, label_noisy",
        ),
        ("label,Label\n1,2\n", "there are two columns label; allowed is one"),
        ("file,filename\na,b\n", "there are two columns file; allowed is one"),
        ("label,noisy_label\n1,2\n", "the column 'noisy_label' is unknown, but may hold labels"),
        ("id,label\n1,2\n", "the column 'id' is unknown, but may hold labels or their order"),
        ("label_noisy,target\n1,2\n", "the column 'target' is unknown"),
        (",label\n7,2\n3,4\n", "the column '' is unknown"),  # pandas' index, in another order
        (b"PK\x03\x04\0\0", "cannot be read: it is not text; save it as CSV"),
        (b"label_noisy\n\x81\x8d", "cannot be read: it is not text; save it as CSV"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(tmp_path, content, said):
    assert refused(tmp_path, content).startswith(said)


@pytest.mark.parametrize("entry", ["nan", "3.0", "", "cat", "1e3", "0x1", "1_0", "٣"])
def test_a_label_that_is_no_whole_number_is_named_with_its_line(tmp_path, entry):
    found = table(tmp_path, f"label,label_noisy\n1,1\n2,{entry}\n")
    with pytest.raises(InputError, match=r"line 3: label_noisy is .*; allowed are whole numbers$"):
        found.numbers("label_noisy")


def test_other_columns_are_not_used_and_named(tmp_path, caplog):
    table(tmp_path, "label_noisy,annotator,time\n1,me,2\n")
    assert caplog.messages == ["--noise_file=x.csv: columns that are not used: annotator, time"]


def test_a_table_of_cleanlab_has_the_given_labels_by_their_places(tmp_path, caplog):
    """As pandas writes it, sorted by quality."""
    path = tmp_path / "issues.csv"
    path.write_text(
        ",is_label_issue,label_quality,given_label,predicted_label\n"
        "2,True,0.01,7,3\n0,False,0.5,1,1\n1,False,0.9,4,4\n"
    )
    table = read_table(path, "--noise_file=issues.csv")
    assert table.numbers("index").tolist() == [2, 0, 1]
    assert table.numbers("label_noisy").tolist() == [7, 1, 4]
    assert "label" not in table
    assert caplog.messages == [
        "--noise_file=issues.csv: columns that are not used: is_label_issue, label_quality, "
        "predicted_label"
    ]
