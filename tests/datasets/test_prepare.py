"""Preparing without TensorFlow, from archives on disk and from a server on the loopback address."""

import functools
import http.server
import logging
import socket
import threading

import numpy as np
import pytest
import synthetic
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import checksums

from jaxnoise.config import InputError
from jaxnoise.datasets import archives, prepare

WRITERS = {
    "mnist": synthetic.write_mnist,
    "fashion_mnist": functools.partial(synthetic.write_mnist, seed=1),
    "cifar10": functools.partial(synthetic.write_cifar, name="cifar10"),
    "cifar100": functools.partial(synthetic.write_cifar, name="cifar100"),
}


class SilentHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    """Serves `tmp_path/served` on a loopback address; yields the folder and the address."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(SilentHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def register(monkeypatch, name, folder, address):
    """Lets TFDS's own builder know the archives of `folder` under an address on the loopback."""
    url_infos = {
        f"{address}/{path.name}": checksums.compute_url_info(path) for path in folder.iterdir()
    }
    monkeypatch.setattr(tfds.builder_cls(name), "url_infos", url_infos)


def assert_reads_back(name, data_dir, content):
    """The official builder reads each sample bit by bit; TFDS shuffles by the key, the index."""
    builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
    assert type(builder) is tfds.builder_cls(name)
    for split, (images, labels) in content.items():
        examples = list(
            builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
        )
        assert len(examples) == len(images)
        assert all(example["image"].startswith(b"\x89PNG") for example in examples)
        seen = []
        for example in builder.as_data_source(split):
            index = int(example["image"][0, 0, 0])
            seen.append(index)
            np.testing.assert_array_equal(example["image"], images[index])
            assert example["label"] == labels[index]
            if name.startswith("cifar"):
                assert example["id"] == f"{split}_{index:05d}".encode()
            if name == "cifar100":
                assert example["coarse_label"] == labels[index] // 5
        assert sorted(seen) == list(range(len(images)))
        if split == "train":
            np.testing.assert_array_equal(seen, prepare.original_order(name, len(images)))
    return builder


@pytest.mark.parametrize("name", prepare.PREPARABLE)
def test_manual_archives_are_read_back_by_the_official_builder(tmp_path, name, capsys):
    content = WRITERS[name](tmp_path / "manual")
    prepare.prepare(name, data_dir=tmp_path / "tfds", manual_dir=tmp_path / "manual")
    builder = assert_reads_back(name, tmp_path / "tfds", content)
    if name == "cifar10":
        assert builder.info.features["label"].names == list(synthetic.CIFAR10_NAMES)
    if name == "cifar100":
        assert builder.info.features["coarse_label"].names[7] == "coarse_7"
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""


@pytest.mark.parametrize("name", prepare.PREPARABLE)
def test_downloaded_archives_are_read_back_by_the_official_builder(
    tmp_path, monkeypatch, server, name
):
    folder, address = server
    content = WRITERS[name](folder)
    register(monkeypatch, name, folder, address)
    prepare.prepare(name, data_dir=tmp_path / "tfds")
    assert_reads_back(name, tmp_path / "tfds", content)


def test_a_folder_of_its_own_comes_before_the_manual_dir_itself(tmp_path):
    synthetic.write_mnist(tmp_path, seed=1)
    content = synthetic.write_mnist(tmp_path / "mnist", seed=2)
    prepare.prepare("mnist", data_dir=tmp_path / "tfds", manual_dir=tmp_path)
    assert_reads_back("mnist", tmp_path / "tfds", content)


def test_other_packaging_of_manual_archives_is_used_with_one_warning(tmp_path, monkeypatch, caplog):
    synthetic.write_mnist(tmp_path / "manual")
    register(monkeypatch, "mnist", tmp_path / "manual", "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING, "jaxnoise"):
        prepare.prepare("mnist", data_dir=tmp_path / "a", manual_dir=tmp_path / "manual")
    assert not caplog.records

    labels = tmp_path / "manual" / "t10k-labels-idx1-ubyte.gz"
    packed_at = slice(4, 8)  # the header's time stamp
    content = bytearray(labels.read_bytes())
    content[packed_at] = b"\1\2\3\4"
    labels.write_bytes(content)
    with caplog.at_level(logging.WARNING, "jaxnoise"):
        prepare.prepare("mnist", data_dir=tmp_path / "b", manual_dir=tmp_path / "manual")
    (record,) = caplog.records
    assert record.getMessage().endswith(f"is not the one registered in TFDS: {labels}")
    assert "mnist" in record.getMessage()


def test_preparing_twice_leaves_the_first_copy_alone(tmp_path):
    content = synthetic.write_mnist(tmp_path / "manual")
    prepare.prepare("mnist", data_dir=tmp_path / "tfds", manual_dir=tmp_path / "manual")
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "tfds" / "mnist").rglob("*")}
    prepare.prepare("mnist", data_dir=tmp_path / "tfds", manual_dir=tmp_path / "manual")
    assert files == {p: p.stat().st_mtime_ns for p in (tmp_path / "tfds" / "mnist").rglob("*")}
    assert_reads_back("mnist", tmp_path / "tfds", content)


def test_two_copies_of_the_same_archives_are_equal(tmp_path):
    synthetic.write_cifar(tmp_path / "manual", "cifar10")
    records = []
    for folder in ("a", "b"):
        prepare.prepare("cifar10", data_dir=tmp_path / folder, manual_dir=tmp_path / "manual")
        records.append([p.read_bytes() for p in sorted((tmp_path / folder).rglob("*record*"))])
    assert len(records[0]) == 2
    assert records[0] == records[1]


def test_a_run_that_finishes_second_accepts_the_copy_in_its_place(tmp_path, monkeypatch):
    manual_dir, data_dir = tmp_path / "manual", tmp_path / "tfds"
    content = synthetic.write_mnist(manual_dir)
    encode = prepare._png

    def encode_while_another_run_finishes(image):
        monkeypatch.setattr(prepare, "_png", encode)
        prepare.prepare("mnist", data_dir=data_dir, manual_dir=manual_dir)
        return encode(image)

    monkeypatch.setattr(prepare, "_png", encode_while_another_run_finishes)
    prepare.prepare("mnist", data_dir=data_dir, manual_dir=manual_dir)
    assert_reads_back("mnist", data_dir, content)
    assert [path.name for path in (data_dir / "mnist").iterdir()] == ["3.0.1"]


def test_an_interrupted_preparation_leaves_nothing_that_is_read(tmp_path, monkeypatch):
    manual_dir, data_dir = tmp_path / "manual", tmp_path / "tfds"
    content = synthetic.write_mnist(manual_dir)

    def interrupt(image):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(prepare, "_png", interrupt)
        prepare.prepare("mnist", data_dir=data_dir, manual_dir=manual_dir)
    assert not list((data_dir / "mnist").iterdir())
    prepare.prepare("mnist", data_dir=data_dir, manual_dir=manual_dir)
    assert_reads_back("mnist", data_dir, content)


def test_a_damaged_manual_archive_leaves_nothing_behind(tmp_path):
    synthetic.write_mnist(tmp_path / "manual")
    path = tmp_path / "manual" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=f"damaged data file {path}"):
        prepare.prepare("mnist", data_dir=tmp_path / "tfds", manual_dir=tmp_path / "manual")
    assert not (tmp_path / "tfds").exists()


def test_a_missing_manual_archive_is_named_with_all_that_are_needed(tmp_path):
    synthetic.write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError) as error:
        prepare.prepare("mnist", data_dir=tmp_path / "tfds", manual_dir=tmp_path)
    message = str(error.value)
    assert message.startswith(
        f"--manual_dir={tmp_path}: it does not contain t10k-labels-idx1-ubyte.gz; "
    )
    for file in (file for pair in synthetic.IDX_FILES.values() for file in pair):
        assert file in message


def assert_tells_both_ways_out(error, name, data_dir, files):
    message = str(error.value)
    assert message.startswith(
        f"--dataset={name}: there is no copy in --data_dir={data_dir} and the download failed ("
    )
    assert f"set --data_dir to a TFDS directory with an array_record copy of {name}" in message
    assert f"set --manual_dir to a folder with {', '.join(files)}" in message
    assert "\n" not in message


def test_without_network_both_ways_out_are_told_at_once(tmp_path, monkeypatch):
    synthetic.write_cifar(tmp_path / "archives", "cifar10")
    with socket.socket() as unused:  # bound but not listening: connections are refused
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        register(monkeypatch, "cifar10", tmp_path / "archives", address)
        with pytest.raises(InputError) as error:
            prepare.prepare("cifar10", data_dir=tmp_path / "tfds")
    assert_tells_both_ways_out(error, "cifar10", tmp_path / "tfds", ["cifar-10-binary.tar.gz"])
    assert "(cannot reach http" in str(error.value)
    assert "cifar-10-binary.tar.gz, ConnectionError)" in str(error.value)
    assert not (tmp_path / "tfds").exists()


def test_an_archive_that_the_server_lacks(tmp_path, monkeypatch, server):
    folder, address = server
    synthetic.write_cifar(folder, "cifar10")
    register(monkeypatch, "cifar10", folder, address)
    (folder / "cifar-10-binary.tar.gz").unlink()
    with pytest.raises(InputError) as error:
        prepare.prepare("cifar10", data_dir=tmp_path / "tfds")
    assert_tells_both_ways_out(error, "cifar10", tmp_path / "tfds", ["cifar-10-binary.tar.gz"])


def test_a_download_with_a_wrong_checksum_is_refused(tmp_path, monkeypatch, server):
    folder, address = server
    synthetic.write_mnist(folder)
    register(monkeypatch, "mnist", folder, address)
    files = [url.rsplit("/")[-1] for url in tfds.builder_cls("mnist").url_infos]
    synthetic.write_mnist(folder, seed=1)
    with pytest.raises(InputError) as error:
        prepare.prepare("mnist", data_dir=tmp_path / "tfds")
    assert_tells_both_ways_out(error, "mnist", tmp_path / "tfds", files)
    assert "has wrong checksum" in str(error.value)
    assert not (tmp_path / "tfds" / "mnist" / "3.0.1").exists()


def test_downloads_are_kept_and_need_no_network_again(tmp_path, monkeypatch, server):
    folder, address = server
    content = synthetic.write_mnist(folder)
    register(monkeypatch, "mnist", folder, address)

    def interrupt(image):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(prepare, "_png", interrupt)
        prepare.prepare("mnist", data_dir=tmp_path / "tfds")
    for path in folder.iterdir():
        path.unlink()
    prepare.prepare("mnist", data_dir=tmp_path / "tfds")
    assert_reads_back("mnist", tmp_path / "tfds", content)


def test_a_data_dir_that_cannot_be_written(tmp_path):
    synthetic.write_mnist(tmp_path / "manual")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"--data_dir={tmp_path}/file/tfds: cannot be written: "):
        prepare.prepare("mnist", data_dir=tmp_path / "file/tfds", manual_dir=tmp_path / "manual")


def test_tfds_knows_every_archive_that_is_read():
    """The file names and addresses are TFDS's; a change there must not go unnoticed here."""
    for name in prepare.PREPARABLE:
        files = {info.filename for info in tfds.builder_cls(name).url_infos.values()}
        if name.startswith("cifar"):
            assert files == {f"{name.replace('cifar', 'cifar-')}-binary.tar.gz"}
        else:
            assert files == {file for pair in synthetic.IDX_FILES.values() for file in pair}
    assert set(archives.READERS) == {"mnist", "fashion_mnist", "cifar10", "cifar100"}
