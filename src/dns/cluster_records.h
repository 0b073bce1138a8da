// The cluster's names: what Services and EndpointSlices mean in DNS.
//
// Follows the Kubernetes DNS specification 1.1.0 (https://github.com/kubernetes/dns/blob/master/docs/specification.md)
// and, where that leaves a choice, what CoreDNS answers: A, AAAA, SRV, PTR and CNAME for Services, a name for each
// endpoint of a headless one, addresses written as pod names, TXT dns-version, SOA and NS of the zone. A change costs
// what its own Service is large. Any thread.
#pragma once
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "dns/record.h"
#include "schema/k8s/core_v1.h"
#include "schema/k8s/discovery_v1.h"

namespace redoubt::dns {

class ClusterRecords {
 public:
  // `pod_cidrs`: only their addresses have names under pod.DOMAIN, so that no name of the cluster can be made to mean
  // an outsider's address; and in reverse they are never asked upstream.
  ClusterRecords(std::string domain, std::vector<std::string> pod_cidrs);

  void set_service(const k8s::core::v1::Service& service);
  void remove_service(const std::string& ns, const std::string& name);
  // `before` may name another Service.
  void set_slice(const k8s::discovery::v1::EndpointSlice& slice);
  void remove_slice(const k8s::discovery::v1::EndpointSlice& slice);
  // Until then cluster names answer NotReady: what isn't known yet must not be denied.
  void set_ready();
  // Any endpoint that is ready, in any slice of the Service.
  bool has_ready_endpoint(const std::string& ns, const std::string& name) const;

  Lookup lookup(const Labels& name, Type type) const;
  const std::string& domain() const { return domain_; }

 private:
  struct Port {
    std::string name, protocol;  // lower case, "_tcp"
    uint16_t number = 0;
  };
  struct Endpoint {
    std::string hostname;  // the endpoint's own, or made from its address
    std::vector<std::string> addresses;
  };
  struct Slice {
    std::vector<Endpoint> endpoints;  // ready ones
    std::vector<Port> ports;
  };
  struct Entry {
    bool service = false;  // else only slices are known
    bool headless = false;
    std::string external_name;
    std::vector<std::string> cluster_ips;
    std::vector<Port> ports;
    std::map<std::string, Slice> slices;
    std::vector<std::pair<std::string, std::string>> reverse;  // address -> name, as entered in reverse_
  };
  Entry& entry(const std::string& ns, const std::string& name);
  void index(const std::string& ns, const std::string& name, Entry& entry);
  void drop_if_empty(const std::string& ns, const std::string& name);

  Lookup of_zone(const Labels& rest, Type type) const;
  Lookup of_service(const Labels& rest, Type type) const;
  Lookup of_cluster_ip(const Entry& entry, const std::string& full, const Labels& rest, Type type) const;
  Lookup of_headless(const Entry& entry, const std::string& full, const Labels& rest, Type type) const;
  Lookup of_pod(const Labels& rest, Type type) const;
  Lookup of_address(const std::string& address, Type type) const;
  Lookup denied(Lookup::Outcome outcome, std::string zone) const;
  Lookup found(std::vector<Record> answer, std::string zone, std::vector<Record> additional = {}) const;
  bool inside(const std::string& address) const;

  const std::string domain_;
  const Labels domain_labels_;
  const std::vector<std::string> pod_cidrs_;
  mutable std::mutex mutex_;
  bool ready_ = false;
  uint32_t serial_ = 1;
  std::map<std::string, std::map<std::string, Entry>> namespaces_;
  std::map<std::string, std::set<std::string>> reverse_;
};

}  // namespace redoubt::dns
