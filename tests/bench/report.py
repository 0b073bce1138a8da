"""The figures of one run as a table: Redoubt, the ceiling, upstream, the ratios, and what the budgets ask."""

# name, title, unit, digits, budget against the ceiling (of), against upstream (times better), or absolute (at most)
ROWS = [
    ("create_configmaps_per_s", "ConfigMaps created (1 KB, 64 workers)", "/s", 0, {"times": 5}),
    ("create_configmaps_p50_ms", "  p50", "ms", 1, {}),
    ("create_configmaps_p99_ms", "  p99", "ms", 1, {}),
    ("create_pods_per_s", "pods created (2 KB, 64 workers)", "/s", 0, {"times": 5}),
    ("create_pods_p50_ms", "  p50", "ms", 1, {}),
    ("create_pods_p99_ms", "  p99", "ms", 1, {}),
    ("get_per_s", "gets (1 KB, 64 workers)", "/s", 0, {"of": 0.8}),
    ("get_p99_ms", "  p99", "ms", 1, {}),
    ("list_json_mb_per_s", "LIST of 5,000 pods, JSON", "MB/s", 0, {"of": 0.85}),
    ("list_json_mb", "  one list", "MB", 1, {}),
    ("list_protobuf_mb_per_s", "LIST of 5,000 pods, protobuf", "MB/s", 0, {"of": 0.85}),
    ("list_protobuf_mb", "  one list", "MB", 1, {}),
    ("watch_per_s", "events to 200 watchers, 4 connections", "/s", 0, {"times": 4}),
    ("watch_p50_ms", "  p50", "ms", 1, {}),
    ("watch_p99_ms", "  p99", "ms", 1, {"at_most": 30}),
    ("watch_apart_per_s", "events to 200 watchers, 200 connections", "/s", 0, {}),
    ("watch_apart_p99_ms", "  p99", "ms", 1, {}),
    ("ready_s", "exec to /readyz, first start", "s", 2, {"at_most": 0.3}),
    ("ready_again_s", "exec to /readyz, 15,000 objects", "s", 2, {"at_most": 0.3}),
    ("idle_mb", "resident, idle", "MB", 0, {"at_most": 40}),
    ("loaded_mb", "resident, 15,000 objects created", "MB", 0, {"at_most": 150}),
    ("end_mb", "resident, after all of the load", "MB", 0, {}),
    ("idle_cpu_percent", "CPU, idle", "%", 2, {"at_most": 0.3}),
]


def number(results, who, name):
    return results.get(who, {}).get(name)


def judged(results, name, budget):
    """What the budget asks, and whether it is met; empty where the run can't tell."""
    mine, best, theirs = (number(results, who, name) for who in ("redoubt", "ceiling", "upstream"))
    if "times" in budget and theirs:
        return f"{budget['times']}x upstream", mine >= budget["times"] * theirs
    if "of" in budget and best:
        return f"{budget['of']} of the ceiling", mine >= budget["of"] * best
    if "at_most" in budget:
        return f"at most {budget['at_most']}", mine <= budget["at_most"]
    return "", None


def table(results):
    lines = [f"{'':46}{'Redoubt':>12}{'ceiling':>12}{'upstream':>12}{'to ceiling':>12}{'to upstream':>12}  budget"]
    for name, title, unit, digits, budget in ROWS:
        mine, best, theirs = (number(results, who, name) for who in ("redoubt", "ceiling", "upstream"))
        if mine is None:
            continue

        def show(value):
            return "" if value is None else f"{value:,.{digits}f}"

        def ratio(other):
            return f"{mine / other:.2f}" if other else ""
        asked, met = judged(results, name, budget)
        verdict = "" if met is None else f"  {asked}: {'met' if met else 'MISSED'}"
        lines.append(f"{title + ', ' + unit:46}{show(mine):>12}{show(best):>12}{show(theirs):>12}{ratio(best):>12}{ratio(theirs):>12}{verdict}")
    return "\n".join(lines)
