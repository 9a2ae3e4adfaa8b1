"""Sweeps as jobs: the results of one process, and what becomes of jobs that are disturbed."""

import json
import logging
import os
import pickle
import subprocess
import sys

import jax
import pytest
from places import ROOT
from submitit.helpers import DelayedSubmission

from jaxnoise.config import Config, InputError
from jaxnoise.experiments import batch as together
from jaxnoise.experiments.batch import BatchRunner, Outcome
from jaxnoise.runs import folders as results
from jaxnoise.runs import lock
from jaxnoise.sweep import __main__ as sweep
from jaxnoise.sweep import job as job_module
from jaxnoise.sweep import plans, progress, slurm
from jaxnoise.sweep.grid import PlannedRun
from jaxnoise.terminal import console, interruption

SMALL = dict(
    dataset="digits", train_size=200, test_size=60, epochs_num=1, total_repeats=1, jacob_samples=20
)  # fmt: skip


@pytest.fixture(autouse=True)
def _log(monkeypatch):
    monkeypatch.setattr(console.log, "handlers", [])
    monkeypatch.setattr(console.log, "level", logging.INFO)
    monkeypatch.setattr(console.log, "propagate", True)


@pytest.fixture
def configs(tmp_path):
    return [Config(**SMALL, wd_coef=x, results_dir=str(tmp_path)) for x in (0.0, 1e-4, 1e-3)]


@pytest.fixture
def plan(configs):
    return plans.write([PlannedRun(None, config) for config in configs])


def chunk(configs, plan):
    return job_module.Chunk(tuple(configs), plan, False, ("sweep.py", "--wd_coef=0,1"))


# On this machine


def test_jobs_give_the_scores_of_one_process(tmp_path):
    """And a run that fails is told, with the reason, while the others finish."""
    (tmp_path / "bad.npz").write_text("no arrays")
    flags = [f"--{name}={value}" for name, value in SMALL.items()]
    flags += ["--wd_coef=0,1e-4", f"--noise_file=none,{tmp_path / 'bad.npz'}"]
    command = subprocess.run(
        [sys.executable, "-m", "jaxnoise.sweep", *flags, "--executor=local",
         f"--results_dir={tmp_path / 'jobs'}"],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": jax.default_backend()},
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip
    assert command.returncode == 1, command.stderr
    told = command.stdout.splitlines()
    assert told[0] == "4 runs, 0 already finished; 1 program"
    assert [line[:6] for line in told[1:5]] == ["[1/4] ", "[2/4] ", "[3/4] ", "[4/4] "]
    assert sum("FAILED: --noise_file=" in line for line in told[1:5]) == 2
    assert sum(line.startswith("Failed: python main.py --dataset=digits") for line in told) == 2

    alone = [Config(**SMALL, wd_coef=x, results_dir=str(tmp_path / "alone")) for x in (0.0, 1e-4)]
    assert all(outcome.error is None for outcome in BatchRunner(interruption.Watch()).run(alone))
    for config in alone:
        folder = results.run_folder(config).relative_to(tmp_path / "alone")
        jobs, here = (tmp_path / name / folder for name in ("jobs", "alone"))
        assert (jobs / "scores.json").read_bytes() == (here / "scores.json").read_bytes()
        document = json.loads((jobs / "config.json").read_text())
        assert (
            document["command"][0] == "jaxnoise.sweep" and "--executor=local" in document["command"]
        )
    (log,) = (tmp_path / "jobs" / "sweeps").glob("*_jobs/*_log.out")
    assert "[4/4] digits" in log.read_text()


class Job:
    """What submitit returns; it is done once the test says so."""

    started: list["Job"]

    def __init__(self, of):
        self.of, self.ended, self.cancelled = of, False, False

    def done(self):
        return self.ended

    def cancel(self):
        self.cancelled = True

    def wait(self):
        self.ended = True


@pytest.fixture
def started(monkeypatch):
    """The jobs that have been started on this machine, which is only said of them."""
    jobs = []

    class LocalExecutor:
        def __init__(self, folder):
            pass

        def update_parameters(self, **_):
            pass

        def submit(self, part):
            jobs.append(Job(part))
            return jobs[-1]

    monkeypatch.setattr(job_module.submitit, "LocalExecutor", LocalExecutor)
    monkeypatch.setattr(job_module.time, "sleep", lambda _: None)
    return jobs


@pytest.mark.parametrize(
    ("visible", "gpu_asked", "places"),
    [(None, False, [None]), ("5,7", False, ["5", "7"]), ("5,7", True, ["5,7"])],
)
def test_one_job_at_a_time_on_each_gpu(visible, gpu_asked, places, configs, plan, started,
                                       monkeypatch):  # fmt: skip
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    parts = job_module.chunks(configs, plan, gpu_asked=gpu_asked, cells_per_job=1)
    most = []

    def sleep(_):
        """Meanwhile the first job ends."""
        going = [job for job in started if not job.ended]
        most.append([job.of.gpus for job in going])
        going[0].ended = True
        plans.note(plan, results.run_folder(going[0].of.configs[0]), None)

    monkeypatch.setattr(job_module.time, "sleep", sleep)
    outcomes = list(job_module.run_local(parts, plan, interruption.Watch()))
    assert outcomes == [Outcome(config) for config in configs]
    assert most[0] == places
    assert all(len(set(at_once)) == len(at_once) <= len(places) for at_once in most)


def test_who_stops_waiting_ends_the_jobs(configs, plan, started):
    class Stopped(interruption.Watch):
        def check(self, epoch):
            raise interruption.Interrupted(15)

    parts = job_module.chunks(configs, plan, gpu_asked=False, cells_per_job=2)
    with pytest.raises(interruption.Interrupted):
        list(job_module.run_local(parts, plan, Stopped()))
    (job,) = started
    assert job.cancelled and job.ended


def test_run_that_its_job_leaves_unfinished_is_told(configs, plan):
    plans.note(plan, results.run_folder(configs[1]), "no luck")
    first, *others = job_module.follow(
        configs, plan, lambda: False, interruption.Watch(), poll_seconds=0
    )
    assert first == Outcome(configs[1], "no luck")
    assert [outcome.config for outcome in others] == [configs[0], configs[2]]
    assert all(str(job_module.jobs_folder(plan)) in outcome.error for outcome in others)


# A job


@pytest.fixture
def ran(monkeypatch):
    """Runs are taken down instead of made; the second one gives up."""
    taken = []

    class Fake:
        def __init__(self, watch):
            pass

        def run(self, configs):
            for config in configs:
                taken.append(config)
                if len(taken) == 2:
                    raise SystemExit
                yield Outcome(config, None if config.wd_coef else "no luck")

    monkeypatch.setattr(together, "BatchRunner", Fake)
    monkeypatch.setattr(progress, "_accuracy", lambda _: "98.76")
    monkeypatch.setattr(sys, "argv", ["pytest"])
    return taken


def test_requeued_job_makes_the_runs_that_have_not_ended(configs, plan, ran):
    job = chunk(configs, plan)
    with pytest.raises(SystemExit):
        job()
    again = job.checkpoint()
    assert type(again) is DelayedSubmission
    assert pickle.loads(pickle.dumps(again.function)) == job
    again.result()
    assert ran == [configs[0], configs[1], configs[1], configs[2]]
    ended = plans.ended(plan)
    assert [ended[results.run_folder(x)]["error"] for x in configs] == ["no luck", None, None]
    assert sys.argv == ["sweep.py", "--wd_coef=0,1"]


def test_run_of_another_process_is_left_alone(configs, plan, caplog):
    folder = results.run_folder(configs[0])
    folder.mkdir(parents=True)
    with lock.hold(folder), caplog.at_level(logging.INFO):
        outcomes = progress.here(configs[:1], plan, interruption.Watch())
        assert progress.tell(outcomes, configs[:1], plan) == 0
    assert f"LEFT ALONE: {folder}: process {os.getpid()} on" in caplog.text
    assert plans.ended(plan) == {}


# Shares


def parts_of(configs, plan, cells_per_job=None):
    parts = job_module.chunks(configs, plan, gpu_asked=False, cells_per_job=cells_per_job)
    return [list(part.configs) for part in parts]


def test_chunks_are_of_one_program_and_no_larger_than_asked(configs, plan):
    other = Config(**SMALL, net="allcnn")
    a, b, c = configs
    assert parts_of([a, other, b, c], plan, 2) == [[a, b], [c], [other]]


def test_by_default_a_chunk_has_about_forty_repeats(plan):
    configs = [Config(**SMALL | {"total_repeats": 5, "seed": seed}) for seed in range(20)]
    assert [len(part) for part in parts_of(configs, plan)] == [8, 8, 4]
    one = [Config(**SMALL | {"total_repeats": 100, "seed": seed}) for seed in range(2)]
    assert parts_of(one, plan) == [[one[0]], [one[1]]]


def test_run_is_in_one_job_with_the_run_that_it_needs(configs, plan):
    """Else two jobs would make it at the same time."""
    forward = [
        Config(**SMALL, wd_coef=x.wd_coef, loss="forward", forward_matrix="estimated",
               results_dir=x.results_dir) for x in configs[:2]
    ]  # fmt: skip
    assert parts_of([*configs[:2], *forward], plan, 1) == [
        [configs[0], forward[0]], [configs[1], forward[1]],
    ]  # fmt: skip
    assert parts_of(forward, plan, 1) == [[forward[0]], [forward[1]]]


# On Slurm


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A folder of commands like Slurm's: `queue` in it is what squeue prints, `batch` what sbatch
    was given; while there is a file `refuse`, sbatch says so.
    """
    folder = tmp_path / "cluster"
    folder.mkdir()
    (folder / "queue").touch()
    for name, script in {
        "srun": "exit 1",
        "squeue": f"echo $@ > {folder}/asked; cat {folder}/queue",
        "sbatch": f"test ! -e {folder}/refuse || {{ echo No such partition >&2; exit 1; }}; "
        f"cp $1 {folder}/batch; echo Submitted batch job 12",
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def main(configs, *flags):
    flags = [*flags, "--executor=slurm", "--cells_per_job=2", "--wd_coef=0,1e-4,1e-3"]
    small = [f"--{name}={value}" for name, value in SMALL.items()]
    return sweep.main([*small, f"--results_dir={configs[0].results_dir}", *flags])


def test_sweep_is_submitted_as_an_array_and_told_of(cluster, configs, plan, capsys):
    assert main(configs, "--slurm_mem=2GB", "--slurm_exclusive=true") == 0
    told = capsys.readouterr().out
    assert "Submitted 2 jobs for 3 runs, number 12\n" in told
    assert f"scancel --name=jaxnoise-{plan.stem}\n" in told
    batch = (cluster / "batch").read_text()
    for line in (f"job-name=jaxnoise-{plan.stem}", "time=60", "array=0-1%2", "mem=2GB"):
        assert f"#SBATCH --{line}\n" in batch
    assert "#SBATCH --exclusive\n" in batch
    folder = job_module.jobs_folder(plan)
    jobs = [DelayedSubmission.load(folder / f"12_{i}_submitted.pkl").function for i in range(2)]
    assert [job.configs for job in jobs] == [tuple(configs[:2]), tuple(configs[2:])]


def test_nothing_is_submitted_while_jobs_are_there(cluster, configs, plan, capsys):
    plans.note(plan, results.run_folder(configs[1]), "no luck")
    (cluster / "queue").write_text("12_0 RUNNING\n12_1 PENDING\n")
    assert main(configs) == 1
    told = capsys.readouterr().out
    assert "Jobs of this sweep that have not ended: 12_0 RUNNING, 12_1 PENDING\n" in told
    assert f"Failed: {configs[1].command}\n  no luck\n" in told
    assert not (cluster / "batch").exists()
    assert f"--name=jaxnoise-{plan.stem}" in (cluster / "asked").read_text()
    assert len(plans.ended(plan)) == 1
    (cluster / "queue").write_text("")  # now it is tried again
    assert main(configs) == 0
    assert f"Failed: {configs[1].command}\n" in capsys.readouterr().out
    assert (cluster / "batch").exists() and plans.ended(plan) == {}


def test_who_waits_is_told_how_runs_end(cluster, configs, plan, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_accuracy", lambda _: "98.76")
    monkeypatch.setattr(job_module.time, "sleep", lambda _: end.pop()())
    folders = [results.run_folder(config) for config in configs]
    end = [
        lambda: (cluster / "queue").write_text(""),
        lambda: plans.note(plan, folders[0], "no luck"),
        lambda: plans.note(plan, folders[2], None),
    ]
    (cluster / "queue").write_text("12 RUNNING\n")
    assert main(configs, "--wait") == 1
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert "wd_0.001: 98.76" in told[0] and "no_reg: FAILED: no luck" in told[1]
    assert "wd_0.0001: FAILED: its job ended without finishing it" in told[2]


def test_what_slurm_refuses_is_one_line(cluster, configs, capsys):
    (cluster / "refuse").touch()
    assert main(configs, "--slurm_partition=x") == 2
    error = capsys.readouterr().err
    assert error == "error: --executor=slurm: No such partition\n"


def test_machine_without_slurm_is_told(configs, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(configs) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --executor=slurm: squeue failed: ")
    assert error.count("\n") == 1 and not (tmp_path / "sweeps").exists()


def test_options_are_json_or_text():
    words = ["--slurm_time=90", "--slurm_account=0123", '--slurm_setup=["module load cuda"]']
    assert slurm.read_options(words) == {
        "time": 90, "account": "0123", "setup": ["module load cuda"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--executor=slurm", "--slurm_foo=1"], "--slurm_foo=1: allowed is --slurm_NAME=VALUE"),
        (["--executor=slurm", "--slurm_mem"], "account, additional_parameters, array_parallelism"),
        (["--executor=slurm", "--slurm_nodes=2"], "--slurm_nodes=2: allowed"),
        (["--executor=slurm", "--slurm_time=1:00:00"], "--slurm_time=1:00:00: allowed are whole"),
        (["--executor=slurm", "--slurm_time=0"], "--slurm_time=0: allowed are whole"),
        (["--slurm_mem=2GB"], "--slurm_mem=2GB: allowed only with --executor=slurm"),
        (["--executor=local", "--wait"], "--wait: allowed only with --executor=slurm"),
        (
            ["--cells_per_job=2"],
            "--cells_per_job=2: allowed is 1 or more, and only with --executor",
        ),
        (["--executor=local", "--cells_per_job=0"], "--cells_per_job=0: allowed is 1 or more"),
    ],
)
def test_bad_flags_are_one_line_before_any_work(flags, told, tmp_path, capsys):
    assert sweep.main(["--dataset=digits", f"--results_dir={tmp_path}", *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and told in error
    assert list(tmp_path.iterdir()) == []


def test_option_of_the_wrong_type_is_one_line(cluster, configs, capsys):
    assert main(configs, "--slurm_setup=module load cuda") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --executor=slurm: ") and error.count("\n") == 1


def test_options_that_the_sweep_sets_itself_are_not_offered():
    with pytest.raises(InputError) as refusal:
        slurm.read_options(["--slurm_job_name=x"])
    names = str(refusal.value).split("names ")[1].split(", ")
    assert "partition" in names and not {"job_name", "nodes", "ntasks_per_node"} & set(names)
