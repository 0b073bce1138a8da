#include "apiserver/proxy/backend.h"

#include <algorithm>
#include <charconv>

#include "apiserver/proxy/limits.h"
#include "schema/k8s/core_v1.h"
#include "schema/k8s/discovery_v1.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

namespace {

using k8s::core::v1::Pod;

std::optional<int64_t> number(std::string_view text) {
  int64_t out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

Result<uint16_t> port_number(std::string_view kind, std::string_view text) {
  auto value = number(text);
  if (!value || *value < 1 || *value > 65535) return bad_request(fmt::format("invalid {} port \"{}\"", kind, text));
  return static_cast<uint16_t>(*value);
}

bool has_ip(const Pod& pod, std::string_view ip) {
  return pod.status.podIP == ip ||
         std::ranges::any_of(pod.status.podIPs, [&](const auto& one) { return one.ip == ip; });
}

// A terminated pod's address may be another's by now.
bool over(const Pod& pod) {
  return pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
}

}  // namespace

Result<std::vector<Backend>> node_backends(const ProxyName& name, const KubeletAccess& kubelets,
                                           const BackendObjects& objects, const TrustSources& trust) {
  RD_TRY(Bytes json, objects.find("minions", "", name.name));
  RD_TRY(KubeletLocation where, kubelets.locate(json));
  Backend out;
  out.path = egress::PathId::ApiserverNode;
  out.node = where.node;
  out.address = where.address;
  if (name.port.empty() || name.port == std::to_string(where.address.port)) {
    out.kubelet = out.tls = true;
    return std::vector{std::move(out)};
  }
  RD_TRY(out.address.port, port_number("node", name.port));
  out.tls = name.scheme == "https";
  if (out.tls) {
    RD_TRY(auto node, schema::from_json<k8s::core::v1::Node>(json));
    RD_TRY(out.trust, trust_of(node.metadata.annotations, "kube-system", trust));
    out.default_server_name = out.address.host;
  }
  return std::vector{std::move(out)};
}

Result<std::vector<Backend>> pod_backends(const ProxyName& name, std::string_view ns, const BackendObjects& objects,
                                          const TrustSources& trust) {
  RD_TRY(Bytes json, objects.find("pods", ns, name.name));
  RD_TRY(Pod pod, schema::from_json<Pod>(json));
  Backend out;
  out.node = pod.spec.nodeName;
  out.tls = name.scheme == "https";
  out.address.host = !pod.status.podIP.empty()    ? pod.status.podIP
                     : !pod.status.podIPs.empty() ? pod.status.podIPs[0].ip
                                                  : std::string();
  // A pod that was not started has no address, one that is over none any more.
  if (out.address.host.empty() || over(pod)) return bad_request("address not allowed");
  if (!name.port.empty()) {
    RD_TRY(out.address.port, port_number("pod", name.port));
  } else {
    out.address.port = out.tls ? 443 : 80;
    for (const auto& container : pod.spec.containers) {
      if (container.ports.empty()) continue;
      out.address.port = static_cast<uint16_t>(container.ports[0].containerPort);
      break;
    }
  }
  if (out.tls) {
    RD_TRY(out.trust, trust_of(pod.metadata.annotations, ns, trust));
    out.default_server_name = out.address.host;
  }
  return std::vector{std::move(out)};
}

Result<std::vector<Backend>> service_backends(const ProxyName& name, std::string_view ns, std::string_view id,
                                              size_t seed, const BackendObjects& objects, const TrustSources& trust) {
  RD_TRY(Bytes json, objects.find("services/specs", ns, name.name));
  RD_TRY(auto service, schema::from_json<k8s::core::v1::Service>(json));
  std::string port = name.port;
  if (auto wanted = number(port)) {
    auto it = std::ranges::find_if(service.spec.ports, [&](const auto& p) { return p.port == *wanted; });
    if (it == service.spec.ports.end())
      return service_unavailable(fmt::format("no service port {} found for service \"{}\"", *wanted, name.name));
    port = it->name;
  }
  std::optional<BackendTrust> of_service;
  bool tls = name.scheme == "https";
  if (tls) {
    RD_TRY(of_service, trust_of(service.metadata.annotations, ns, trust));
  }
  std::vector<Backend> all;
  bool any = false;
  objects.endpoint_slices(ns, name.name, [&](const Bytes& text) {
    auto slice = schema::from_json<k8s::discovery::v1::EndpointSlice>(text);
    if (!slice || slice->addressType == "FQDN") return;
    any = any || !slice->endpoints.empty();
    for (const auto& p : slice->ports) {
      if (p.name.value_or("") != port || !p.port || *p.port < 1 || *p.port > 65535) continue;
      for (const auto& endpoint : slice->endpoints) {
        if (!endpoint.conditions.ready.value_or(true) || endpoint.addresses.empty() || !endpoint.targetRef ||
            endpoint.targetRef->kind != "Pod")
          continue;
        Backend out;
        out.path = egress::PathId::ApiserverService;
        out.address = {endpoint.addresses[0], static_cast<uint16_t>(*p.port)};
        out.tls = tls;
        out.node = endpoint.targetRef->name;  // the pod, until it is looked up
        all.push_back(std::move(out));
      }
      break;
    }
  });
  Error none = service_unavailable(fmt::format("no endpoints available for service \"{}\"", any ? id : name.name));
  if (all.empty()) return none;
  std::ranges::rotate(all, all.begin() + static_cast<ptrdiff_t>(seed % all.size()));
  std::vector<Backend> out;
  for (Backend& one : all) {
    if (out.size() >= kMaxEndpointTries) break;
    // Slices can be written by hand: only an address that its pod really has is believed.
    auto pod_json = objects.find("pods", ns, one.node);
    auto pod = pod_json ? schema::from_json<Pod>(*pod_json) : Result<Pod>(std::unexpected(pod_json.error()));
    if (!pod || !has_ip(*pod, one.address.host) || over(*pod)) continue;
    one.node = pod->spec.nodeName;
    if (tls) {
      one.trust = of_service;
      if (!one.trust) {
        RD_TRY(one.trust, trust_of(pod->metadata.annotations, ns, trust));
      }
      one.default_server_name = fmt::format("{}.{}.svc", name.name, ns);
    }
    out.push_back(std::move(one));
  }
  if (out.empty()) return none;
  return out;
}

}  // namespace redoubt::apiserver
