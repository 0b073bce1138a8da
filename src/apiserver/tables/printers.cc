#include "apiserver/tables/printers.h"

#include <algorithm>
#include <map>

#include "base/time.h"

namespace redoubt::apiserver {

namespace {

using schema::Value;
using Cells = std::vector<Cell>;

std::string str(const Value& v, std::initializer_list<std::string_view> path, std::string_view fallback = "") {
  std::string_view text = v.get(path).as_string();
  return std::string(text.empty() ? fallback : text);
}
int64_t num(const Value& v, std::initializer_list<std::string_view> path) {
  return v.get(path).as_int();
}
std::string name_of(const Value& o) {
  return str(o, {"metadata", "name"});
}
std::string age(const Value& o) {
  return age_of(o.get({"metadata", "creationTimestamp"}).as_string());
}

std::string join(const Value& list, std::initializer_list<std::string_view> path, std::string_view none = "<none>") {
  std::string out;
  for (const Value& item : schema::items(list))
    out += (out.empty() ? "" : ",") + std::string((path.size() == 0 ? item : item.get(path)).as_string());
  return out.empty() ? std::string(none) : out;
}

std::string selector(const Value& labels) {
  std::vector<std::string> parts;
  for (const schema::Member& label : schema::members(labels))
    parts.push_back(fmt::format("{}={}", label.key, label.value.as_string()));
  std::sort(parts.begin(), parts.end());
  return parts.empty() ? "<none>" : fmt::format("{}", fmt::join(parts, ","));
}

const Column kName{"Name", "string", "name", 0}, kAge{"Age", "string", "", 0};

// STATUS, READY and RESTARTS of a pod, by upstream's rules.
Cells pod_cells(const Value& pod) {
  std::string reason = str(pod, {"status", "reason"}, str(pod, {"status", "phase"}));
  int64_t restarts = 0, ready = 0, total = static_cast<int64_t>(pod.get({"spec", "containers"}).size());
  std::optional<Timestamp> last_restart;
  auto note_restart = [&](const Value& status) {
    restarts += num(status, {"restartCount"});
    if (auto at = parse_rfc3339(status.get({"lastState", "terminated", "finishedAt"}).as_string());
        at && (!last_restart || *at > *last_restart))
      last_restart = at;
  };
  bool initializing = false;
  Value inits = pod.get({"status", "initContainerStatuses"});
  int64_t init_total = static_cast<int64_t>(pod.get({"spec", "initContainers"}).size());
  for (size_t i = 0; i < inits.size(); ++i) {
    const Value& status = inits.at(i);
    note_restart(status);
    Value state = status.get({"state"});
    if (state.has("terminated") && num(state, {"terminated", "exitCode"}) == 0) continue;
    if (status.get({"started"}).as_bool() && state.has("running")) continue;
    if (state.has("terminated")) {
      std::string why = str(state, {"terminated", "reason"});
      reason = why.empty() ? fmt::format("Init:ExitCode:{}", num(state, {"terminated", "exitCode"})) : "Init:" + why;
    } else if (std::string why = str(state, {"waiting", "reason"}); !why.empty() && why != "PodInitializing") {
      reason = "Init:" + why;
    } else {
      reason = fmt::format("Init:{}/{}", i, init_total);
    }
    initializing = true;
    break;
  }
  if (!initializing) {
    restarts = 0;
    last_restart.reset();
    bool running = false;
    Value statuses = pod.get({"status", "containerStatuses"});
    for (size_t i = statuses.size(); i-- > 0;) {
      const Value& status = statuses.at(i);
      note_restart(status);
      Value state = status.get({"state"});
      if (std::string why = str(state, {"waiting", "reason"}); !why.empty()) {
        reason = why;
      } else if (std::string end = str(state, {"terminated", "reason"}); !end.empty()) {
        reason = end;
      } else if (state.has("terminated")) {
        int64_t signal = num(state, {"terminated", "signal"});
        reason = signal != 0 ? fmt::format("Signal:{}", signal)
                             : fmt::format("ExitCode:{}", num(state, {"terminated", "exitCode"}));
      } else if (status.get({"ready"}).as_bool() && state.has("running")) {
        running = true;
        ++ready;
      }
    }
    if (reason == "Completed" && running) {
      bool is_ready = false;
      for (const Value& c : schema::items(pod.get({"status", "conditions"})))
        is_ready = is_ready || (str(c, {"type"}) == "Ready" && str(c, {"status"}) == "True");
      reason = is_ready ? "Running" : "NotReady";
    }
  }
  if (pod.get({"metadata"}).has("deletionTimestamp"))
    reason = str(pod, {"status", "reason"}) == "NodeLost" ? "Unknown" : "Terminating";
  std::string restart_text = std::to_string(restarts);
  if (restarts > 0 && last_restart)
    restart_text += fmt::format(
        " ({} ago)", human_duration(std::chrono::duration_cast<std::chrono::seconds>(now() - *last_restart)));
  int64_t gates = static_cast<int64_t>(pod.get({"spec", "readinessGates"}).size());
  return {name_of(pod),
          fmt::format("{}/{}", ready, total),
          reason,
          restart_text,
          age(pod),
          str(pod, {"status", "podIP"}, "<none>"),
          str(pod, {"spec", "nodeName"}, "<none>"),
          str(pod, {"status", "nominatedNodeName"}, "<none>"),
          gates == 0 ? "<none>" : fmt::format("0/{}", gates)};
}

Cells node_cells(const Value& node) {
  std::string status = "Unknown";
  for (const Value& c : schema::items(node.get({"status", "conditions"}))) {
    if (str(c, {"type"}) == "Ready") status = str(c, {"status"}) == "True" ? "Ready" : "NotReady";
  }
  if (node.get({"spec", "unschedulable"}).as_bool()) status += ",SchedulingDisabled";
  std::vector<std::string> roles;
  for (const schema::Member& label : schema::members(node.get({"metadata", "labels"}))) {
    constexpr std::string_view kRole = "node-role.kubernetes.io/";
    if (label.key.starts_with(kRole) && label.key.size() > kRole.size())
      roles.emplace_back(label.key.substr(kRole.size()));
    if (label.key == "kubernetes.io/role" && !label.value.as_string().empty())
      roles.emplace_back(label.value.as_string());
  }
  std::sort(roles.begin(), roles.end());
  auto address = [&](std::string_view type) {
    for (const Value& a : schema::items(node.get({"status", "addresses"}))) {
      if (str(a, {"type"}) == type) return str(a, {"address"});
    }
    return std::string("<none>");
  };
  return {name_of(node),
          status,
          roles.empty() ? "<none>" : fmt::format("{}", fmt::join(roles, ",")),
          age(node),
          str(node, {"status", "nodeInfo", "kubeletVersion"}),
          address("InternalIP"),
          address("ExternalIP"),
          str(node, {"status", "nodeInfo", "osImage"}, "<unknown>"),
          str(node, {"status", "nodeInfo", "kernelVersion"}, "<unknown>"),
          str(node, {"status", "nodeInfo", "containerRuntimeVersion"}, "<unknown>")};
}

Cells service_cells(const Value& s) {
  std::string ports, type = str(s, {"spec", "type"});
  for (const Value& p : schema::items(s.get({"spec", "ports"}))) {
    int64_t node_port = num(p, {"nodePort"});
    ports += fmt::format("{}{}{}/{}", ports.empty() ? "" : ",", num(p, {"port"}),
                         node_port > 0 ? fmt::format(":{}", node_port) : "", str(p, {"protocol"}));
  }
  std::string external = join(s.get({"spec", "externalIPs"}), {});
  if (type == "ExternalName") external = str(s, {"spec", "externalName"});
  if (type == "LoadBalancer" && external == "<none>")
    external = join(s.get({"status", "loadBalancer", "ingress"}), {"ip"}, "<pending>");
  return {name_of(s),
          type,
          str(s, {"spec", "clusterIP"}, "<none>"),
          external,
          ports.empty() ? "<none>" : ports,
          age(s),
          selector(s.get({"spec", "selector"}))};
}

void images(const Value& o, Cells& cells) {
  Value containers = o.get({"spec", "template", "spec", "containers"});
  cells.emplace_back(join(containers, {"name"}, ""));
  cells.emplace_back(join(containers, {"image"}, ""));
  std::string labels = selector(o.get({"spec", "selector", "matchLabels"}));
  cells.emplace_back(labels);
}

std::string endpoints_text(const Value& o) {
  std::vector<std::string> list;
  for (const Value& subset : schema::items(o.get({"subsets"}))) {
    for (const Value& a : schema::items(subset.get({"addresses"}))) {
      if (subset.get({"ports"}).empty()) list.push_back(str(a, {"ip"}));
      for (const Value& p : schema::items(subset.get({"ports"})))
        list.push_back(fmt::format("{}:{}", str(a, {"ip"}), num(p, {"port"})));
    }
  }
  if (list.empty()) return "<none>";
  size_t shown = std::min<size_t>(list.size(), 3);
  std::string out = fmt::format("{}", fmt::join(list.begin(), list.begin() + static_cast<ptrdiff_t>(shown), ","));
  if (list.size() > shown) out += fmt::format(" + {} more...", list.size() - shown);
  return out;
}

// Of an APIService: "True", or "False (REASON)".
std::string available_text(const Value& o) {
  for (const Value& c : schema::items(o.get({"status", "conditions"}))) {
    if (str(c, {"type"}) != "Available") continue;
    std::string status = str(c, {"status"}), reason = str(c, {"reason"});
    return status == "True" || reason.empty() ? status : fmt::format("{} ({})", status, reason);
  }
  return "Unknown";
}

std::string csr_condition(const Value& o) {
  std::string out;
  for (const Value& c : schema::items(o.get({"status", "conditions"})))
    out += (out.empty() ? "" : ",") + str(c, {"type"});
  if (out.empty()) out = "Pending";
  if (!str(o, {"status", "certificate"}).empty()) out += ",Issued";
  return out;
}

using Key = std::pair<std::string_view, std::string_view>;

const std::map<Key, Printer>& printers() {
  static const auto* all = new std::map<Key, Printer>{
      {{"", "pods"},
       {{kName,
         {"Ready", "string", "", 0},
         {"Status", "string", "", 0},
         {"Restarts", "string", "", 0},
         kAge,
         {"IP", "string", "", 1},
         {"Node", "string", "", 1},
         {"Nominated Node", "string", "", 1},
         {"Readiness Gates", "string", "", 1}},
        pod_cells}},
      {{"", "nodes"},
       {{kName,
         {"Status", "string", "", 0},
         {"Roles", "string", "", 0},
         kAge,
         {"Version", "string", "", 0},
         {"Internal-IP", "string", "", 1},
         {"External-IP", "string", "", 1},
         {"OS-Image", "string", "", 1},
         {"Kernel-Version", "string", "", 1},
         {"Container-Runtime", "string", "", 1}},
        node_cells}},
      {{"", "services"},
       {{kName,
         {"Type", "string", "", 0},
         {"Cluster-IP", "string", "", 0},
         {"External-IP", "string", "", 0},
         {"Port(s)", "string", "", 0},
         kAge,
         {"Selector", "string", "", 1}},
        service_cells}},
      {{"", "namespaces"},
       {{kName, {"Status", "string", "", 0}, kAge},
        [](const Value& o) { return Cells{name_of(o), str(o, {"status", "phase"}), age(o)}; }}},
      {{"", "configmaps"},
       {{kName, {"Data", "string", "", 0}, kAge},
        [](const Value& o) {
          return Cells{name_of(o), static_cast<int64_t>(o.get({"data"}).size() + o.get({"binaryData"}).size()), age(o)};
        }}},
      {{"", "secrets"},
       {{kName, {"Type", "string", "", 0}, {"Data", "string", "", 0}, kAge},
        [](const Value& o) {
          return Cells{name_of(o), str(o, {"type"}), static_cast<int64_t>(o.get({"data"}).size()), age(o)};
        }}},
      {{"", "serviceaccounts"},
       {{kName, {"Secrets", "string", "", 0}, kAge},
        [](const Value& o) { return Cells{name_of(o), static_cast<int64_t>(o.get({"secrets"}).size()), age(o)}; }}},
      {{"", "endpoints"},
       {{kName, {"Endpoints", "string", "", 0}, kAge},
        [](const Value& o) { return Cells{name_of(o), endpoints_text(o), age(o)}; }}},
      {{"", "events"},
       {{{"Last Seen", "string", "", 0},
         {"Type", "string", "", 0},
         {"Reason", "string", "", 0},
         {"Object", "string", "", 0},
         {"Subobject", "string", "", 1},
         {"Source", "string", "", 1},
         {"Message", "string", "", 0},
         {"First Seen", "string", "", 1},
         {"Count", "string", "", 1},
         {"Name", "string", "name", 1}},
        [](const Value& o) {
          std::string last =
              str(o, {"lastTimestamp"}, str(o, {"eventTime"}, str(o, {"metadata", "creationTimestamp"})));
          std::string kind = str(o, {"involvedObject", "kind"});
          for (char& c : kind) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
          return Cells{age_of(last),
                       str(o, {"type"}),
                       str(o, {"reason"}),
                       fmt::format("{}/{}", kind, str(o, {"involvedObject", "name"})),
                       str(o, {"involvedObject", "fieldPath"}),
                       str(o, {"source", "component"}, str(o, {"reportingComponent"})),
                       str(o, {"message"}),
                       age_of(str(o, {"firstTimestamp"}, last)),
                       std::max<int64_t>(1, num(o, {"count"})),
                       name_of(o)};
        }}},
      {{"apps", "deployments"},
       {{kName,
         {"Ready", "string", "", 0},
         {"Up-to-date", "string", "", 0},
         {"Available", "string", "", 0},
         kAge,
         {"Containers", "string", "", 1},
         {"Images", "string", "", 1},
         {"Selector", "string", "", 1}},
        [](const Value& o) {
          Cells cells{name_of(o),
                      fmt::format("{}/{}", num(o, {"status", "readyReplicas"}), num(o, {"spec", "replicas"})),
                      num(o, {"status", "updatedReplicas"}), num(o, {"status", "availableReplicas"}), age(o)};
          images(o, cells);
          return cells;
        }}},
      {{"apps", "replicasets"},
       {{kName,
         {"Desired", "string", "", 0},
         {"Current", "string", "", 0},
         {"Ready", "string", "", 0},
         kAge,
         {"Containers", "string", "", 1},
         {"Images", "string", "", 1},
         {"Selector", "string", "", 1}},
        [](const Value& o) {
          Cells cells{name_of(o), num(o, {"spec", "replicas"}), num(o, {"status", "replicas"}),
                      num(o, {"status", "readyReplicas"}), age(o)};
          images(o, cells);
          return cells;
        }}},
      {{"apps", "daemonsets"},
       {{kName,
         {"Desired", "string", "", 0},
         {"Current", "string", "", 0},
         {"Ready", "string", "", 0},
         {"Up-to-date", "string", "", 0},
         {"Available", "string", "", 0},
         {"Node Selector", "string", "", 0},
         kAge,
         {"Containers", "string", "", 1},
         {"Images", "string", "", 1},
         {"Selector", "string", "", 1}},
        [](const Value& o) {
          Cells cells{name_of(o),
                      num(o, {"status", "desiredNumberScheduled"}),
                      num(o, {"status", "currentNumberScheduled"}),
                      num(o, {"status", "numberReady"}),
                      num(o, {"status", "updatedNumberScheduled"}),
                      num(o, {"status", "numberAvailable"}),
                      selector(o.get({"spec", "template", "spec", "nodeSelector"})),
                      age(o)};
          images(o, cells);
          return cells;
        }}},
      {{"apps", "statefulsets"},
       {{kName, {"Ready", "string", "", 0}, kAge, {"Containers", "string", "", 1}, {"Images", "string", "", 1}},
        [](const Value& o) {
          Cells cells{name_of(o),
                      fmt::format("{}/{}", num(o, {"status", "readyReplicas"}), num(o, {"spec", "replicas"})), age(o)};
          images(o, cells);
          cells.pop_back();
          return cells;
        }}},
      {{"apiregistration.k8s.io", "apiservices"},
       {{kName, {"Service", "string", "", 0}, {"Available", "string", "", 0}, kAge},
        [](const Value& o) {
          std::string service = "Local";
          if (o.get({"spec", "service"}).is_object())
            service = str(o, {"spec", "service", "namespace"}) + "/" + str(o, {"spec", "service", "name"});
          return Cells{name_of(o), service, available_text(o), age(o)};
        }}},
      {{"certificates.k8s.io", "certificatesigningrequests"},
       {{kName,
         kAge,
         {"SignerName", "string", "", 0},
         {"Requestor", "string", "", 0},
         {"RequestedDuration", "string", "", 0},
         {"Condition", "string", "", 0}},
        [](const Value& o) {
          Value seconds = o.get({"spec", "expirationSeconds"});
          return Cells{name_of(o),
                       age(o),
                       str(o, {"spec", "signerName"}),
                       str(o, {"spec", "username"}),
                       seconds.is_int() ? human_duration(std::chrono::seconds(seconds.as_int())) : "<none>",
                       csr_condition(o)};
        }}},
      {{"coordination.k8s.io", "leases"},
       {{kName, {"Holder", "string", "", 0}, kAge},
        [](const Value& o) { return Cells{name_of(o), str(o, {"spec", "holderIdentity"}), age(o)}; }}},
      {{"discovery.k8s.io", "endpointslices"},
       {{kName, {"AddressType", "string", "", 0}, {"Ports", "string", "", 0}, {"Endpoints", "string", "", 0}, kAge},
        [](const Value& o) {
          std::string ports, addresses;
          for (const Value& p : schema::items(o.get({"ports"})))
            ports += fmt::format("{}{}", ports.empty() ? "" : ",", num(p, {"port"}));
          for (const Value& e : schema::items(o.get({"endpoints"})))
            addresses += fmt::format("{}{}", addresses.empty() ? "" : ",", join(e.get({"addresses"}), {}));
          return Cells{name_of(o), str(o, {"addressType"}), ports.empty() ? "<unset>" : ports,
                       addresses.empty() ? "<unset>" : addresses, age(o)};
        }}},
      {{"networking.k8s.io", "servicecidrs"},
       {{kName, {"CIDRs", "string", "", 0}, kAge},
        [](const Value& o) -> Cells { return {name_of(o), join(o.get({"spec", "cidrs"}), {}), age(o)}; }}},
      {{"networking.k8s.io", "ipaddresses"},
       {{kName, {"ParentRef", "string", "", 0}, kAge},
        [](const Value& o) -> Cells {
          Value parent = o.get({"spec", "parentRef"});
          std::string shown = str(parent, {"resource"}, "<none>");
          for (auto [field, before] : {std::pair{"group", "."}, std::pair{"namespace", "/"}, std::pair{"name", "/"}}) {
            if (std::string part = str(parent, {field}); !part.empty()) shown += before + part;
          }
          return {name_of(o), shown, age(o)};
        }}},
      {{"rbac.authorization.k8s.io", "clusterrolebindings"},
       {{kName, {"Role", "string", "", 0}, kAge},
        [](const Value& o) {
          return Cells{name_of(o), fmt::format("{}/{}", str(o, {"roleRef", "kind"}), str(o, {"roleRef", "name"})),
                       age(o)};
        }}},
      {{"rbac.authorization.k8s.io", "rolebindings"},
       {{kName, {"Role", "string", "", 0}, kAge},
        [](const Value& o) {
          return Cells{name_of(o), fmt::format("{}/{}", str(o, {"roleRef", "kind"}), str(o, {"roleRef", "name"})),
                       age(o)};
        }}},
      {{"scheduling.k8s.io", "priorityclasses"},
       {{kName,
         {"Value", "integer", "", 0},
         {"Global-Default", "string", "", 0},
         kAge,
         {"PreemptionPolicy", "string", "", 0}},
        [](const Value& o) {
          return Cells{name_of(o), num(o, {"value"}),
                       std::string(o.get({"globalDefault"}).as_bool() ? "true" : "false"), age(o),
                       str(o, {"preemptionPolicy"}, "PreemptLowerPriority")};
        }}},
      {{"batch", "jobs"},
       {{kName, {"Status", "string", "", 0}, {"Completions", "string", "", 0}, {"Duration", "string", "", 0}, kAge},
        [](const Value& o) {
          std::string status = "Running";
          for (const Value& c : schema::items(o.get({"status", "conditions"}))) {
            if (str(c, {"status"}) == "True") status = str(c, {"type"});
          }
          std::string duration;
          if (auto from = parse_rfc3339(o.get({"status", "startTime"}).as_string())) {
            auto to = parse_rfc3339(o.get({"status", "completionTime"}).as_string());
            duration = human_duration(std::chrono::duration_cast<std::chrono::seconds>(to.value_or(now()) - *from));
          }
          return Cells{name_of(o), status,
                       fmt::format("{}/{}", num(o, {"status", "succeeded"}), num(o, {"spec", "completions"})), duration,
                       age(o)};
        }}},
  };
  return *all;
}

}  // namespace

const Printer* find_printer(std::string_view group, std::string_view resource) {
  if (group == "events.k8s.io") group = "";
  auto it = printers().find(Key{group, resource});
  return it == printers().end() ? nullptr : &it->second;
}

}  // namespace redoubt::apiserver
