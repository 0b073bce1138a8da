// The kubelet's HTTPS API (path apiserver-kubelet): logs, exec, attach, port-forward, run, pods, runningpods, stats,
// metrics, log files, healthz, configz.
//
// Nobody gets in without a credential: a certificate of the client CA, or a token that the API server vouches for
// (TokenReview); and every request is authorized (SubjectAccessReview on nodes' subresources). Single-threaded: the
// loop given is the caller's.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "client/client.h"
#include "kubelet/options.h"
#include "kubelet/runtime/cri.h"
#include "net/loop.h"
#include "pki/certificate.h"

namespace redoubt::kubelet {

struct ServerDependencies {
  client::Client& api;
  Runtime& runtime;
  Executor executor;
  std::string client_ca_pem;
  std::string node_name;
  struct ContainerRef {
    std::string id;
    std::string log_path;
    bool running = false;
  };
  // "" is the only container. NotFound and BadRequest in upstream's words.
  std::function<Result<ContainerRef>(std::string ns, std::string pod, std::string container, bool previous)>
      find_container;
  std::function<Result<std::string>(std::string ns, std::string pod)> find_sandbox;
  std::function<std::string()> pods_json;
  std::string config_json;            // what /configz says
  std::string root_dir;               // its file system is what /stats counts as the node's
  std::string log_root = "/var/log";  // what /logs shows
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> start(net::LoopPool& loops, const Options& options, pki::KeyPair serving,
                                               ServerDependencies deps);
  virtual ~Server() = default;
  virtual Task<void> drain() = 0;
  // New connections get the new certificate; old ones go on.
  virtual Result<void> replace_certificate(pki::KeyPair serving) = 0;
  // Certificates of clients (the API server's) are verified against these authorities from now on.
  virtual Result<void> replace_client_ca(std::string pem) = 0;
};

}  // namespace redoubt::kubelet
