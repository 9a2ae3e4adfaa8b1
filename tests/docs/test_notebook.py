"""The notebook runs top to bottom, on the digits that come along."""

import pytest
from places import ROOT

nbformat = pytest.importorskip("nbformat")
NOTEBOOK = ROOT / "notebooks" / "jaxnoise.ipynb"


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_no_output_is_older_than_the_code(notebook):
    nbformat.validate(notebook)
    for cell in code(notebook):
        assert cell.outputs == [] and cell.execution_count is None


@pytest.mark.slow
@pytest.mark.usefixtures("standard_compilation")
@pytest.mark.filterwarnings("default")  # of the kernel's libraries
def test_notebook_runs(notebook, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    ran = nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    pictures = 0
    for cell in code(ran):
        assert "error" not in {output.output_type for output in cell.outputs}
        pictures += sum("image/png" in output.get("data", {}) for output in cell.outputs)
    assert pictures == 5
    outputs = [output for cell in code(ran) for output in cell.outputs]
    told = "".join(x.text for x in outputs if x.output_type == "stream" and x.name == "stdout")
    assert "epoch 20/20" in told and "[6/6] digits" in told and "focal" in told
    assert (tmp_path / "results_sweep" / "report" / "report.html").exists()
