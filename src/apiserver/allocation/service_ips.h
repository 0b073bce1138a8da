// Virtual addresses and node ports for Services: which are taken, and by whom.
//
// What is taken is kept in memory, by address and by port, so that giving one costs the same with many Services. The
// stored Services are the truth; an IPAddress object stands for each address that is given, as upstream has it, and
// repair() makes all agree. Networks are those of ServiceCIDR objects; until there is the one named "kubernetes", those
// of the command line.
//
// One write of a Service: assign(), record(), the Service's own commit, at once keep(), settle(); or give_up(). A
// Reservation that is dropped (the request was cut off before the commit) frees what it holds in memory; an IPAddress
// that was made for it goes with the next repair().
// Any thread.
#pragma once
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "apiserver/allocation/ip_families.h"
#include "apiserver/allocation/network.h"
#include "apiserver/allocation/port_range.h"
#include "apiserver/resources/hooks.h"
#include "base/task.h"
#include "store/store.h"

namespace redoubt::apiserver {

class ServiceIps {
 public:
  // Reads the stored Services once. `networks` as parse_service_networks() has them.
  ServiceIps(store::Store& store, std::vector<Network> networks, PortRange node_ports);

  // What a Service was given and does not have yet.
  class Reservation {
   public:
    Reservation() = default;
    Reservation(Reservation&& other) noexcept { *this = std::move(other); }
    Reservation& operator=(Reservation&& other) noexcept;
    ~Reservation();
    const std::vector<std::string>& ips() const { return ips_; }

   private:
    friend class ServiceIps;
    ServiceIps* owner_ = nullptr;
    std::string service_;
    std::vector<std::string> ips_;
    std::vector<int64_t> ports_;
  };

  // Completes spec.clusterIP(s), ipFamilies, ipFamilyPolicy, nodePorts and healthCheckNodePort. Invalid when one asked
  // for is taken or outside the ranges; InternalError, as upstream, when there is none left.
  Result<Reservation> assign(Value& service, const Value& old, Arena& arena);
  // Before the Service is stored: makes the IPAddress objects. An address whose object is somebody else's is taken.
  Task<Result<void>> record(const Reservation& reservation);
  // Right after the Service was stored at `revision`, before anything is waited for.
  void keep(Reservation& reservation, store::Revision revision);
  // After the Service was stored as `now` (null: it is gone): what it had `before` and has no more is free.
  Task<void> settle(store::ObjectPtr before, store::ObjectPtr now);
  // The Service was not stored.
  Task<void> give_up(Reservation reservation);
  // Makes IPAddress objects and what is in memory agree with the stored Services. What is being written meanwhile is
  // left alone.
  Task<void> repair();

  // The first address, which is the API server's own, and the tenth, which is the cluster's DNS by custom.
  std::string first() const { return networks_.front().at(1); }
  std::string dns() const { return networks_.front().at(10); }
  // Of the command line.
  std::vector<std::string> cidrs() const;

 private:
  struct Holder {
    std::string service;    // "namespace/name"
    store::Revision since;  // at which the Service was stored with it; kReserved before
  };
  static constexpr store::Revision kReserved = UINT64_MAX;
  template <class Key>
  using Held = std::unordered_map<Key, Holder>;

  Result<void> assign_ips(Value& service, const Value& old, Arena& arena, Reservation& out);
  Result<void> assign_ports(Value& service, const Value& old, Arena& arena, Reservation& out);
  // 0: there is none left.
  int64_t pick_port() const;
  // Where addresses may come from now: of the ServiceCIDRs, those that are ready and stay.
  const std::vector<Network>& networks();
  // "": there is none left.
  std::string pick_ip(bool v6);
  void release(const std::string& service, const std::vector<std::string>& ips, const std::vector<int64_t>& ports);
  Task<std::expected<store::Committed, store::CommitError>> make_object(std::string ip, std::string service);
  Task<void> remove_object(std::string ip);

  store::Store& store_;
  const std::vector<Network> networks_;
  const PortRange node_ports_;
  std::mutex mutex_;  // of all below
  Held<std::string> ips_;
  Held<int64_t> ports_;
  store::SnapshotPtr cidrs_seen_;  // what `ready_` was read from
  std::vector<Network> ready_;
};

}  // namespace redoubt::apiserver
