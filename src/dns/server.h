// The node's DNS server: the cluster's names at once, everything else through the forwarder. UDP and TCP.
//
// Belongs to one loop; the records may be changed from any thread.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/task.h"
#include "dns/cluster_records.h"
#include "dns/forwarder.h"
#include "dns/message.h"

namespace redoubt::dns {

class Server {
 public:
  // `records` outlives the server.
  Server(Executor executor, const ClusterRecords& records);
  ~Server();

  // Listens on these addresses (UDP and TCP, same port), also before an interface has them. ServiceUnavailable names
  // the address that can't be had. Once.
  Result<void> listen(const std::vector<std::string>& addresses, uint16_t port);
  // The port of the first listener (useful when 0 was asked for).
  uint16_t port() const { return port_; }
  Forwarder& forwarder() { return forwarder_; }
  // Ends listening and every query under way.
  Task<void> stop();

  // What is known without asking anybody; nothing when upstream has to be asked. "" means: say nothing.
  std::optional<std::string> answer_now(const Query& query, size_t limit);
  // Any query. Not longer than `limit`.
  Task<std::string> answer(Query query, size_t limit);

 private:
  struct Udp;
  struct Tcp;
  Task<void> serve_udp(std::shared_ptr<Udp> socket);
  void take_datagram(const std::shared_ptr<Udp>& socket, std::string_view bytes);
  Task<void> accept_tcp(std::shared_ptr<Tcp> listener);
  // Cluster records along aliases as far as they go; `leads_to` is set when the last of them lies outside.
  Lookup follow(const Query& query, std::vector<Record>& before, std::optional<Labels>& leads_to) const;

  Executor executor_;
  const ClusterRecords& records_;
  Forwarder forwarder_;
  Scope scope_;
  uint16_t port_ = 0;
  std::map<std::string, size_t> forwards_of_;  // by client address
  std::map<std::string, size_t> connections_of_;
  size_t connections_ = 0;
};

}  // namespace redoubt::dns
