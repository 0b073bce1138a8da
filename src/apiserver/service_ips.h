// Virtual addresses and node ports for Services: what is taken is read off the stored Services, plus what is being
// written right now.
//
// Any thread. A reservation lasts until its Service is stored or given up.
#pragma once
#include <mutex>
#include <set>
#include <string>

#include "apiserver/resources/hooks.h"
#include "store/store.h"

namespace redoubt::apiserver {

class ServiceIps {
 public:
  // `cidr` like "10.96.0.0/12"; BadRequest for anything that is no IPv4 network with room.
  static Result<std::unique_ptr<ServiceIps>> make(const store::Store& store, std::string_view cidr);

  class Reservation {
   public:
    Reservation() = default;
    Reservation(Reservation&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), ips_(std::move(other.ips_)), ports_(std::move(other.ports_)) {}
    Reservation& operator=(Reservation&& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(ips_, other.ips_);
      std::swap(ports_, other.ports_);
      return *this;
    }
    ~Reservation();

   private:
    friend class ServiceIps;
    ServiceIps* owner_ = nullptr;
    std::vector<std::string> ips_;
    std::vector<int64_t> ports_;
  };

  // Completes spec.clusterIP(s) and nodePorts; Invalid when one asked for is taken or outside the range.
  Result<Reservation> assign(Value& service, const Value& old, Arena& arena);
  // The first address, which is the API server's own.
  std::string first() const;
  // The tenth, which is the cluster's DNS by custom.
  std::string dns() const;

 private:
  ServiceIps(const store::Store& store, uint32_t network, uint32_t size)
      : store_(store), network_(network), size_(size) {}
  const store::Store& store_;
  uint32_t network_;
  uint32_t size_;
  std::mutex mutex_;
  std::set<std::string> pending_ips_;
  std::set<int64_t> pending_ports_;
};

}  // namespace redoubt::apiserver
