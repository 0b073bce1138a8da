# shellcheck shell=bash
# The one-machine cluster of this checkout, all of it under .dev/. Sourced by ./dev.
: "${root:?is the checkout, which ./dev sets}"

state=$root/.dev
# What is built and run; dev compiles faster than what users run (REDOUBT_PRESET=dev ./dev up).
preset=${REDOUBT_PRESET:-release}
redoubt=$root/build/$preset/redoubt
kubeconfig=$state/admin.kubeconfig

cluster_pid() {
  local pid
  pid=$(cat "$state/redoubt.pid" 2>/dev/null) || return 1
  # By what it was started as, in whichever preset: the linker may have moved the running file away since.
  case $({ tr '\0' '\n' <"/proc/$pid/cmdline"; } 2>/dev/null | head -1) in
    "$root"/build/*/redoubt) echo "$pid" ;;
    *) return 1 ;;
  esac
}

# Images that the examples and tests use: made from local files, so that no registry is needed.
load_images() {
  local socket=$1 images=$state/images
  mkdir -p "$images"
  if [ ! -f "$images/pause.tar" ]; then
    gcc -static -Os -o "$images/pause" "$root/tools/images/pause.c"
    "$root/tools/images/make-image.py" "$images/pause.tar" redoubt.test/pause:1 --entrypoint '["/pause"]' "$images/pause=pause"
  fi
  if [ ! -f "$images/busybox.tar" ]; then
    "$root/tools/images/make-image.py" "$images/busybox.tar" redoubt.test/busybox:1 --cmd '["sh"]' "/bin/busybox=@busybox"
  fi
  local name present
  present=$(ctr -a "$socket" -n k8s.io images ls -q 2>/dev/null) || return 1
  for name in pause busybox; do
    grep -q "^redoubt.test/$name:1$" <<<"$present" || ctr -a "$socket" -n k8s.io images import "$images/$name.tar" >/dev/null
  done
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
  local seconds=$1 what=$2 end=$((SECONDS + $1))
  shift 2
  until "$@" >/dev/null 2>&1; do
    cluster_pid >/dev/null || { tail -20 "$state/redoubt.log" >&2; die "redoubt ended while waiting for $what; its log is $state/redoubt.log"; }
    [ $SECONDS -lt $end ] || { tail -20 "$state/redoubt.log" >&2; die "$what: not after $seconds seconds; the log is $state/redoubt.log"; }
    sleep 0.1
  done
}

node_ready() { [ "$(kubectl --kubeconfig "$kubeconfig" get nodes -o 'jsonpath={.items[0].status.conditions[?(@.type=="Ready")].status}')" = True ]; }

cluster_up() {
  install_packages
  build "$preset" redoubt
  mkdir -p "$state"
  chmod 700 "$state"
  local pid
  if pid=$(cluster_pid); then
    step "already running (pid $pid)"
  else
    step "starting the cluster"
    rm -f "$kubeconfig"
    # A copy, so that tests can name another resolver than the machine's.
    cp /etc/resolv.conf "$state/resolv.conf" 2>/dev/null || : >"$state/resolv.conf"
    setsid "$redoubt" up --data-dir "$state/data" --run-dir "$state/run" --write-kubeconfig "$kubeconfig" --manage-containerd \
      --pod-infra-container-image redoubt.test/pause:1 --resolv-conf "$state/resolv.conf" "$@" </dev/null >>"$state/redoubt.log" 2>&1 &
    echo $! >"$state/redoubt.pid"
  fi
  wait_for 30 "the API server" kubectl --kubeconfig "$kubeconfig" get --raw /readyz
  wait_for 60 "containerd" load_images "$state/run/containerd/containerd.sock"
  wait_for 60 "the node to become Ready" node_ready
  step "the cluster is up"
  cat <<TXT
kubeconfig: $kubeconfig
next:
  export KUBECONFIG=$kubeconfig
  kubectl get nodes -o wide
  kubectl apply -f examples/hello.yaml && kubectl wait --for=condition=Available deploy/hello && kubectl logs deploy/hello
TXT
}

cluster_down() {
  local pid
  if pid=$(cluster_pid); then
    step "stopping redoubt (pid $pid)"
    kill -TERM "$pid"
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
  fi
  rm -f "$state/redoubt.pid"
  if [ -x "$redoubt" ] && [ -d "$state/run" ]; then
    step "removing pods, mounts, interfaces and nft tables"
    "$redoubt" reset --data-dir "$state/data" --run-dir "$state/run" --keep-data
  fi
}

cluster_status() {
  local pid
  if pid=$(cluster_pid); then
    echo "running: pid $pid, resident $(($(awk '/VmRSS/ {print $2}' "/proc/$pid/status") / 1024)) MB, log $state/redoubt.log"
    kubectl --kubeconfig "$kubeconfig" get nodes
  else
    echo "not running"
  fi
}
