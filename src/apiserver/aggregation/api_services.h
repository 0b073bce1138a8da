// Which group versions are served by whom, as APIService objects say it.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "store/store.h"

namespace redoubt::apiserver {

struct ApiService {
  std::string name, uid;  // "v1beta1.metrics.k8s.io"
  std::string group, version;
  bool local = false;  // this server's own: no spec.service, or a group version that is built in
  std::string service_namespace, service_name;
  uint16_t port = 443;
  std::string ca_pem;  // empty: the system's roots
  int64_t group_priority = 0, version_priority = 0;
  // Why such a server is not called whatever it answers, as a condition's reason and a sentence; empty: it may be.
  // (insecureSkipTLSVerify, a caBundle that holds no certificate.)
  std::string objection_reason, objection;

  std::string group_version() const { return group + "/" + version; }
  std::string host() const { return service_name + "." + service_namespace + ".svc"; }
  bool operator==(const ApiService&) const = default;
};

// All of them at one moment, by name. Immutable.
class ApiServiceTable {
 public:
  static std::shared_ptr<const ApiServiceTable> read(const store::Snapshot& objects);
  // Somebody else's only: null for this server's own and for what nobody serves.
  const ApiService* find(std::string_view group, std::string_view version) const;
  const std::vector<ApiService>& all() const { return services_; }
  // Groups that only others serve, in the order of discovery: the highest priority first, then by name.
  std::vector<std::string> remote_groups() const;
  // The versions of such a group, the preferred one first.
  std::vector<const ApiService*> versions(std::string_view group) const;

 private:
  std::vector<ApiService> services_;
};

// The newest table; read anew only when an object changed. Any thread.
class ApiServices {
 public:
  explicit ApiServices(const store::Store& store) : store_(store) {}
  std::shared_ptr<const ApiServiceTable> current();

 private:
  const store::Store& store_;
  std::mutex mutex_;
  store::SnapshotPtr seen_;
  std::shared_ptr<const ApiServiceTable> table_;
};

// True for a "GROUP/VERSION" that this server serves itself: no APIService takes it away.
bool is_builtin(std::string_view group_version);

}  // namespace redoubt::apiserver
