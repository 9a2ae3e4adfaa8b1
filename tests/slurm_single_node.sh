#!/usr/bin/env bash
# Sweeps on a real Slurm of one node, this machine, set up for as long as this takes and then removed:
#
#   sudo tests/slurm_single_node.sh
#
# Needs root on Debian or Ubuntu, and the Python of the environment that jaxnoise runs in as `python`
# or in $PYTHON. It installs slurm-wlm and munge if they are missing; an installed Slurm is left as it
# is, with a configuration, keys, ports and daemons of its own. No systemd and no cgroups are needed.
# It checks that
#   1. all runs of an array of jobs finish, and the same command then finds nothing left to do;
#   2. the same command submits nothing while jobs are there;
#   3. a job that Slurm requeues (as it does on preemption), and one that gets the signal that precedes
#      its time limit, are run again, go on after their last whole epochs, and end with the same
#      scores.json, byte for byte, as runs that nobody disturbed;
#   4. a run that fails is listed, the others finish, and the exit code is 1.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}

for program in slurmctld slurmd munged; do
    command -v $program >/dev/null || apt-get install -y --no-install-recommends slurm-wlm munge
done

work=$(mktemp -d)
chmod 711 "$work"
daemons=()
finish() {
    trap - EXIT
    timeout 10 scancel --user=root 2>/dev/null || true
    for ((i = 0; i < 15; i++)); do # until jobs have ended too
        [[ -n $(timeout 5 squeue --noheader 2>/dev/null) ]] || break
        sleep 1
    done
    kill "${daemons[@]}" 2>/dev/null || true
    for ((i = 0; i < 5; i++)); do
        kill -0 "${daemons[@]}" 2>/dev/null || break
        sleep 1
    done
    kill -KILL "${daemons[@]}" 2>/dev/null || true # a slurmd may wait for a step that never ends
    wait
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

echo "== Slurm of one node"
export SLURM_CONF=$work/slurm.conf
node=$(hostname -s)
cpus=$(nproc)
mkdir "$work/munge" "$work/state" "$work/spool"
chmod 755 "$work/munge"
cat >"$SLURM_CONF" <<END
ClusterName=jaxnoise
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
# Requeued jobs wait for as long as credentials live, by default 120 s.
AuthInfo=socket=$work/munge/socket,cred_expire=10
SlurmctldPort=16817
SlurmdPort=16818
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=5
NodeName=$node NodeAddr=127.0.0.1 CPUs=$cpus State=UNKNOWN
PartitionName=main Nodes=$node Default=YES MaxTime=INFINITE State=UP
END
dd if=/dev/urandom of="$work/munge/key" bs=128 count=1 status=none
chmod 400 "$work/munge/key"
munged --foreground --force --key-file="$work/munge/key" --socket="$work/munge/socket" \
    --pid-file="$work/munge/pid" --log-file="$work/munge/log" --seed-file="$work/munge/seed" \
    >"$work/munged.log" 2>&1 &
daemons+=($!)
slurmctld -D >"$work/slurmctld.log" 2>&1 &
daemons+=($!)
slurmd -D >"$work/slurmd.log" 2>&1 &
daemons+=($!)

# Waits, for so many seconds at most, until a command succeeds.
await() {
    local seconds=$1
    shift
    for ((i = 0; i < seconds; i++)); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 1
    done
    echo "not within $seconds s: $*"
    tail -n 20 "$work"/*.log "$work"/*/sweeps/*_jobs/*_log.* 2>/dev/null
    exit 1
}
node_is_idle() { [[ $(sinfo --noheader --format=%T) == idle ]]; }
await 30 node_is_idle
sinfo --version
sinfo

sweep() { # RESULTS FLAGS...: a sweep of two runs in two jobs
    "$python" -m jaxnoise.sweep --dataset=digits --epochs_num=30 --total_repeats=2 --noise_rate=0.4 \
        --wd_coef=0,1e-4 --executor=slurm --cells_per_job=1 --results_dir="$work/$1" "${@:2}"
}
scores() { (cd "$work/$1/digits" && find . -name scores.json | sort); }

echo "== 1. Undisturbed"
SECONDS=0
sweep undisturbed --wait
echo "took $SECONDS s"
[[ $(scores undisturbed | wc -l) == 2 ]]
sweep undisturbed | grep "2 runs, 2 already finished"
[[ -z $(squeue --noheader) ]]

echo "== 2. Jobs that are there"
SECONDS=0
sweep disturbed | tee "$work/submitted"
job=$(sed -n 's/^Submitted .* number //p' "$work/submitted")
[[ $(squeue --noheader --array | wc -l) == 2 ]]
sweep disturbed | grep "that have not ended"
[[ $(squeue --noheader --array | wc -l) == 2 ]]

echo "== 3. Requeued by Slurm, and at the end of its time"
saved() { ls -d "$work"/disturbed/digits/*/"$1"*/checkpoints/epoch_00[1-9]?; } # epoch 10 at least
await 600 saved no_reg
scontrol requeue "${job}_0"
await 600 saved wd
scancel --signal=USR2 "${job}_1"
sleep 3
squeue --array --format="%i %T %r"
sweep disturbed --wait
echo "took $SECONDS s"
for file in $(scores undisturbed); do
    cmp "$work/undisturbed/digits/$file" "$work/disturbed/digits/$file"
done
grep -h "Resuming after epoch" "$work"/disturbed/digits/*/*/log.txt
[[ $(grep -l "Resuming after epoch" "$work"/disturbed/digits/*/*/log.txt | wc -l) == 2 ]]
grep -h "Requeued job" "$work"/disturbed/sweeps/*_jobs/*_log.err

echo "== 4. A run that fails"
echo "no arrays" >"$work/bad.npz"
code=0
sweep failing --noise_rate=0 --noise_file="none,$work/bad.npz" --wd_coef=0 --epochs_num=1 --wait || code=$?
[[ $code == 1 && $(scores failing | wc -l) == 1 ]]

echo "all is as it should be"
