#include "kubelet/kubelet.h"

#include <future>

#include "base/blocking.h"
#include "base/event.h"
#include "base/log.h"
#include "client/informer.h"
#include "kubelet/files.h"
#include "kubelet/node/join.h"
#include "kubelet/node/network.h"
#include "kubelet/node/registration.h"
#include "kubelet/node/rotation.h"
#include "kubelet/node/tunnel.h"
#include "kubelet/pods/container_config.h"
#include "kubelet/pods/pod_worker.h"
#include "kubelet/runtime/containerd.h"
#include "kubelet/server/configz.h"
#include "kubelet/server/server.h"
#include "net/loop.h"

namespace redoubt::kubelet {

namespace core = k8s::core::v1;

namespace {

constexpr std::chrono::milliseconds kRelist{1000};
constexpr std::chrono::milliseconds kServingPatience{5000};

std::string upper(std::string text) {
  for (char& c : text) c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

class KubeletImpl : public Kubelet {
 public:
  explicit KubeletImpl(Options options)
      : options_(std::move(options)), loops_(1, "kubelet"), relist_now_(loops_.executor(0)) {}

  ~KubeletImpl() override {
    std::promise<void> done;
    boost::asio::post(loops_.executor(0), [&] {
      stopping_ = std::make_unique<Scope>(loops_.executor(0), "stopping");
      stopping_->spawn([](KubeletImpl& self, std::promise<void>& d) -> Task<void> {
        if (self.tunnel_) co_await self.tunnel_->drain();
        if (self.server_) co_await self.server_->drain();
        if (self.scope_) co_await self.scope_->join();
        d.set_value();
      }(*this, done));
    });
    done.get_future().wait_for(std::chrono::seconds(5));
    loops_.stop();
  }

  Result<void> run() {
    // A node that can't get in says so before anything is started for it.
    RD_TRYV(join(options_));
    if (options_.manage_containerd) {
      RD_TRYV(ensure_containerd(options_));
      options_.container_runtime_endpoint = containerd_socket(options_);
    }
    RD_TRYV(make_folder(options_.root_dir + "/pki", 0700));
    std::promise<Result<void>> started;
    boost::asio::post(loops_.executor(0), [&] {
      scope_ = std::make_unique<Scope>(loops_.executor(0), "kubelet");
      scope_->spawn([](KubeletImpl& self, std::promise<Result<void>>& out) -> Task<void> {
        auto outcome = co_await self.start_all();
        out.set_value(std::move(outcome));
      }(*this, started));
    });
    return started.get_future().get();
  }

 private:
  Task<Result<void>> start_all() {
    Executor executor = loops_.executor(0);
    options_.node_dns = co_await run_blocking([path = options_.resolv_conf] { return net::read_resolv_conf(path); });
    RD_CO_TRY(NodeIdentity identity, co_await ensure_identity(options_));
    options_.server = identity.server;
    client::Config config;
    config.server = identity.server;
    config.ca_pem = identity.ca_pem;
    config.certificate_pem = identity.client.certificate_pem;
    config.private_key_pem = identity.client.private_key_pem;
    config.user_agent = "redoubt/kubelet";
    api_ = std::make_unique<client::Client>(executor, std::move(config));
    runtime_ = std::make_unique<Runtime>(executor, options_.container_runtime_endpoint);
    volumes_ = std::make_unique<Volumes>(*api_, options_);
    registration_ = std::make_unique<Registration>(*api_, *runtime_, options_);
    RD_CO_TRY(std::string pod_cidr, co_await registration_->register_node());
    if (options_.manage_network)
      RD_CO_TRYV(write_cni_config(cni_conf_dir(options_), pod_cidr, options_.root_dir + "/cni", options_.pod_mtu));

    ServerDependencies deps{.api = *api_,
                            .runtime = *runtime_,
                            .executor = executor,
                            .client_ca_pem = identity.ca_pem,
                            .node_name = options_.node_name};
    deps.find_container = [this](std::string ns, std::string pod, std::string container, bool previous) {
      return find_container(ns, pod, container, previous);
    };
    deps.find_sandbox = [this](std::string ns, std::string pod) { return find_sandbox(ns, pod); };
    deps.pods_json = [this] {
      std::string out = R"({"kind":"PodList","apiVersion":"v1","metadata":{},"items":[)";
      for (const auto& [key, pod] : pods_->objects()) out += (out.back() == '[' ? "" : ",") + schema::to_json(*pod);
      return out + "]}";
    };
    deps.config_json = configz(options_);
    deps.root_dir = options_.root_dir;
    // Before the API that asks them is served.
    pods_ = std::make_unique<client::Informer<core::Pod>>(
        *api_, "", client::ListOptions{.field_selector = "spec.nodeName=" + options_.node_name});
    services_ = std::make_unique<client::Informer<core::Service>>(*api_);
    if (options_.cluster_dns.empty()) {
      services_->on_change([this](const auto&, const auto& after) {
        if (after && after->metadata.namespace_ == "kube-system" && after->metadata.name == "kube-dns" &&
            after->spec.clusterIP != "None")
          options_.cluster_dns = after->spec.clusterIP;
      });
    }
    Rotation::Users users;
    users.client = [this](const pki::KeyPair& pair) {
      Result<void> done = api_->replace_certificate(pair.certificate_pem, pair.private_key_pem);
      if (done && tunnel_) done = tunnel_->replace_certificate(pair.certificate_pem, pair.private_key_pem);
      if (!done) log_error("the new client certificate can't be used", {{"error", done.error().message()}});
    };
    users.serving = [this, deps](const pki::KeyPair& pair) { serve_with(pair, deps); };
    users.roots = [this](const std::string& pem) {
      Result<void> done = api_->replace_roots(pem);
      if (done && tunnel_) done = tunnel_->replace_roots(pem);
      if (!done) log_error("the cluster's new authorities can't be used", {{"error", done.error().message()}});
    };
    users.callers = [this](const std::string& pem) {
      callers_ = pem;
      Result<void> done;
      if (server_) done = server_->replace_client_ca(pem);
      if (!done) log_error("the new authorities of clients can't be used", {{"error", done.error().message()}});
    };
    callers_ = identity.ca_pem;
    if (options_.tunnel) {
      RD_CO_TRY(tunnel_, NodeTunnel::make(executor, *api_, options_, identity, pod_cidr));
      scope_->spawn(tunnel_->run());
    }
    rotation_ = std::make_unique<Rotation>(*api_, options_, std::move(identity), std::move(users));
    scope_->spawn(rotation_->run());
    // Usually there at once. A certificate that waits for a person keeps logs and exec away, and nothing else.
    if (!co_await rotation_->wait_serving(kServingPatience))
      log_warning("the kubelet's API is not served until its certificate is approved");
    if (!serving_error_.empty()) co_return service_unavailable(serving_error_);

    pods_->on_change([this](const auto& before, const auto& after) {
      if (pods_->synced()) pod_changed(before, after);
    });
    RD_CO_TRYV(co_await relist());
    scope_->spawn(services_->run());
    scope_->spawn(pods_->run());
    scope_->spawn(start_pods());
    scope_->spawn(relist_loop());
    scope_->spawn(registration_->run());
    for (const Companion& companion : options_.companions) scope_->spawn(companion(*api_, loops_));
    co_return Result<void>{};
  }

  // The kubelet's API begins with the first serving certificate, and takes each later one as it comes.
  void serve_with(const pki::KeyPair& pair, const ServerDependencies& deps) {
    Result<void> done;
    if (server_) {
      done = server_->replace_certificate(pair);
    } else {
      ServerDependencies mine = deps;
      mine.client_ca_pem = callers_;
      auto started = Server::start(loops_, options_, pair, std::move(mine));
      if (started) server_ = std::move(*started);
      if (!started) done = Error(started.error());
    }
    if (done) return;
    serving_error_ = done.error().message();
    log_error("the kubelet's API can't be served", {{"error", serving_error_}});
  }

  // Once the first list is in, what runs without being wanted can be told from what is only not seen yet.
  Task<void> start_pods() {
    co_await services_->wait_synced();
    co_await pods_->wait_synced();
    for (const auto& [key, pod] : pods_->objects()) pod_changed(nullptr, pod);
    remove_orphans_ = true;
    relist_now_.notify();
  }

  void pod_changed(const std::shared_ptr<const core::Pod>& before, const std::shared_ptr<const core::Pod>& after) {
    const auto& pod = after ? after : before;
    std::string uid = pod->metadata.uid;
    // The same name with another uid is another pod.
    if (before && after && before->metadata.uid != after->metadata.uid) pod_changed(before, nullptr);
    auto it = workers_.find(uid);
    if (it != workers_.end()) {
      it->second->update(after);
      return;
    }
    if (!after) return;
    PodServices services{.api = *api_, .runtime = *runtime_, .volumes = *volumes_, .options = options_};
    services.observe = [this](const std::string& id) { return state_[id]; };
    services.service_environment = [this](const std::string& ns) { return service_environment(ns); };
    services.look_again = [this] { relist_now_.notify(); };
    auto worker = std::make_shared<PodWorker>(std::move(services), after);
    workers_[uid] = worker;
    scope_->spawn([](KubeletImpl& self, std::shared_ptr<PodWorker> w, std::string id) -> Task<void> {
      co_await w->run();
      self.workers_.erase(id);
    }(*this, worker, uid));
  }

  std::vector<std::pair<std::string, std::string>> service_environment(const std::string& ns) {
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& [key, service] : services_->objects()) {
      bool kubernetes = service->metadata.namespace_ == "default" && service->metadata.name == "kubernetes";
      if ((service->metadata.namespace_ != ns && !kubernetes) || service->spec.clusterIP.empty() ||
          service->spec.clusterIP == "None" || service->spec.ports.empty())
        continue;
      std::string name = upper(service->metadata.name), ip = service->spec.clusterIP;
      const auto& first = service->spec.ports.front();
      out.emplace_back(name + "_SERVICE_HOST", ip);
      out.emplace_back(name + "_SERVICE_PORT", std::to_string(first.port));
      for (const auto& port : service->spec.ports) {
        if (!port.name.empty())
          out.emplace_back(fmt::format("{}_SERVICE_PORT_{}", name, upper(port.name)), std::to_string(port.port));
        std::string protocol = port.protocol.empty() ? "TCP" : port.protocol, lower = protocol;
        for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        std::string prefix = fmt::format("{}_PORT_{}_{}", name, port.port, protocol);
        if (&port == &first) out.emplace_back(name + "_PORT", fmt::format("{}://{}:{}", lower, ip, port.port));
        out.emplace_back(prefix, fmt::format("{}://{}:{}", lower, ip, port.port));
        out.emplace_back(prefix + "_PROTO", lower);
        out.emplace_back(prefix + "_PORT", std::to_string(port.port));
        out.emplace_back(prefix + "_ADDR", ip);
      }
    }
    return out;
  }

  // Asks the runtime what there is, and wakes the workers of pods that changed.
  Task<Result<void>> relist() {
    RD_CO_TRY(auto sandboxes, co_await runtime_->call<cri::ListPodSandboxResponse>("RuntimeService/ListPodSandbox",
                                                                                   cri::ListPodSandboxRequest()));
    RD_CO_TRY(auto containers, co_await runtime_->call<cri::ListContainersResponse>("RuntimeService/ListContainers",
                                                                                    cri::ListContainersRequest()));
    std::map<std::string, PodRuntimeState> fresh;
    std::map<std::string, std::string> signature;
    for (const auto& s : sandboxes.items()) {
      auto& state = fresh[s.metadata().uid()];
      state.sandboxes.push_back({s.id(), s.metadata().attempt(), s.state() == cri::SANDBOX_READY, s.created_at()});
      signature[s.metadata().uid()] += s.id() + std::to_string(s.state());
    }
    for (const auto& c : containers.containers()) {
      auto uid = c.labels().find("io.kubernetes.pod.uid");
      if (uid == c.labels().end()) continue;
      auto& state = fresh[uid->second];
      state.containers.push_back({c.id(), c.metadata().name(), c.metadata().attempt(), c.state(), c.created_at()});
      signature[uid->second] += c.id() + std::to_string(c.state());
    }
    for (auto& [uid, state] : fresh) {
      std::sort(state.sandboxes.begin(), state.sandboxes.end(),
                [](const auto& a, const auto& b) { return a.created_at > b.created_at; });
      std::sort(state.containers.begin(), state.containers.end(),
                [](const auto& a, const auto& b) { return a.created_at > b.created_at; });
    }
    std::swap(state_, fresh);
    for (const auto& [uid, text] : signature) {
      if (signature_[uid] == text) continue;
      auto it = workers_.find(uid);
      if (it != workers_.end()) it->second->wake();
    }
    for (const auto& [uid, text] : signature_) {
      if (signature.contains(uid)) continue;
      auto it = workers_.find(uid);
      if (it != workers_.end()) it->second->wake();
    }
    signature_ = std::move(signature);
    co_return Result<void>{};
  }

  Task<void> relist_loop() {
    while (true) {
      if (auto ok = co_await relist(); !ok) {
        registration_->set_problem("PLEG is not healthy: " + ok.error().message());
        log_warning("asking the runtime failed", {{"error", ok.error().message()}});
      } else {
        registration_->set_problem("");
        if (remove_orphans_) co_await remove_orphans();
      }
      co_await relist_now_.wait_for(kRelist);
    }
  }

  // Pods that run here and that nobody wants any more (deleted while this was down).
  Task<void> remove_orphans() {
    std::vector<PodRuntimeState::Sandbox> gone;
    std::vector<std::string> uids;
    for (const auto& [uid, state] : state_) {
      if (workers_.contains(uid)) continue;
      uids.push_back(uid);
      gone.insert(gone.end(), state.sandboxes.begin(), state.sandboxes.end());
    }
    for (const auto& sandbox : gone) {
      cri::StopPodSandboxRequest stop;
      stop.set_pod_sandbox_id(sandbox.id);
      co_await runtime_->call<cri::StopPodSandboxResponse>("RuntimeService/StopPodSandbox", stop,
                                                           std::chrono::minutes(2));
      cri::RemovePodSandboxRequest remove;
      remove.set_pod_sandbox_id(sandbox.id);
      co_await runtime_->call<cri::RemovePodSandboxResponse>("RuntimeService/RemovePodSandbox", remove,
                                                             std::chrono::minutes(2));
    }
    for (const auto& uid : uids) {
      if (!workers_.contains(uid)) co_await volumes_->remove(uid);
    }
  }

  Result<ServerDependencies::ContainerRef> find_container(const std::string& ns, const std::string& name,
                                                          const std::string& container, bool previous) {
    auto pod = pods_->get(ns, name);
    if (!pod) return not_found({"", "pods"}, name);
    std::string wanted = container;
    if (wanted.empty() && pod->spec.containers.size() == 1) wanted = pod->spec.containers[0].name;
    bool known = false;
    for (const auto* list : {&pod->spec.containers, &pod->spec.initContainers}) {
      for (const auto& c : *list) known = known || c.name == wanted;
    }
    if (!known) return bad_request(fmt::format("container {} is not valid for pod {}", wanted, name));
    const PodRuntimeState& state = state_[pod->metadata.uid];
    const auto* there = state.latest(wanted);
    // While the newest waits to run again, its predecessor's end is what is known.
    if (there == nullptr)
      return bad_request(
          fmt::format("container \"{}\" in pod \"{}\" is waiting to start: ContainerCreating", wanted, name));
    const auto* chosen = there;
    if (previous) {
      chosen = nullptr;
      bool newest_running = there->state == cri::CONTAINER_RUNNING;
      for (const auto& c : state.containers) {
        if (c.name != wanted || c.state != cri::CONTAINER_EXITED) continue;
        if (newest_running && c.id == there->id) continue;
        chosen = &c;
        break;
      }
      if (chosen == nullptr)
        return bad_request(fmt::format("previous terminated container \"{}\" in pod \"{}\" not found", wanted, name));
    }
    ServerDependencies::ContainerRef out;
    out.id = chosen->id;
    out.running = chosen->state == cri::CONTAINER_RUNNING;
    out.log_path = fmt::format("{}/{}/{}.log", pod_log_dir(*pod, options_), wanted, chosen->attempt);
    return out;
  }

  Result<std::string> find_sandbox(const std::string& ns, const std::string& name) {
    auto pod = pods_->get(ns, name);
    if (!pod) return not_found({"", "pods"}, name);
    const PodRuntimeState& state = state_[pod->metadata.uid];
    if (state.sandboxes.empty() || !state.sandboxes.front().ready)
      return bad_request(fmt::format("pod {} does not run", name));
    return state.sandboxes.front().id;
  }

  Options options_;
  net::LoopPool loops_;
  Event relist_now_;
  std::unique_ptr<Scope> stopping_;
  std::unique_ptr<Scope> scope_;
  std::unique_ptr<client::Client> api_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<Volumes> volumes_;
  std::unique_ptr<Registration> registration_;
  std::unique_ptr<client::Informer<core::Pod>> pods_;
  std::unique_ptr<client::Informer<core::Service>> services_;
  std::string callers_;  // the authorities of whoever calls the kubelet's API
  std::unique_ptr<Rotation> rotation_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<NodeTunnel> tunnel_;
  std::string serving_error_;
  std::map<std::string, PodRuntimeState> state_;
  std::map<std::string, std::string> signature_;
  std::map<std::string, std::shared_ptr<PodWorker>> workers_;
  bool remove_orphans_ = false;
};

}  // namespace

Result<std::unique_ptr<Kubelet>> Kubelet::start(Options options) {
  auto out = std::make_unique<KubeletImpl>(std::move(options));
  RD_TRYV(out->run());
  return out;
}

Result<void> Kubelet::join(const Options& options) {
  RD_TRYV(make_folder(options.root_dir + "/pki", 0700));
  Result<void> outcome;
  net::run_until_done([&]() -> Task<void> {
    return [](Options o, Result<void>& out) -> Task<void> {
      auto identity = co_await ensure_identity(std::move(o));
      if (!identity) out = Error(identity.error());
    }(options, outcome);
  });
  return outcome;
}

Result<void> reset_node(const Options& options) {
  std::string socket = containerd_socket(options);
  if (::access(socket.c_str(), F_OK) == 0) {
    RD_TRYV(ensure_containerd(options));
    Result<void> outcome;
    net::run_until_done([&]() -> Task<void> {
      return [](std::string path, Result<void>& out) -> Task<void> {
        Runtime runtime(co_await boost::asio::this_coro::executor, path);
        auto all = co_await runtime.call<cri::ListPodSandboxResponse>("RuntimeService/ListPodSandbox",
                                                                      cri::ListPodSandboxRequest());
        if (!all) {
          out = Error(all.error());
          co_return;
        }
        for (const auto& sandbox : all->items()) {
          cri::StopPodSandboxRequest stop;
          stop.set_pod_sandbox_id(sandbox.id());
          co_await runtime.call<cri::StopPodSandboxResponse>("RuntimeService/StopPodSandbox", stop,
                                                             std::chrono::minutes(1));
          cri::RemovePodSandboxRequest remove;
          remove.set_pod_sandbox_id(sandbox.id());
          co_await runtime.call<cri::RemovePodSandboxResponse>("RuntimeService/RemovePodSandbox", remove,
                                                               std::chrono::minutes(1));
        }
      }(socket, outcome);
    });
    if (!outcome) log_warning("removing pods failed; going on", {{"error", outcome.error().message()}});
    stop_containerd(options);
  }
  RD_TRYV(remove_tree(options.root_dir + "/pods"));
  RD_TRYV(remove_tree(options.root_dir + "/cni"));
  return remove_tree(options.run_dir);
}

}  // namespace redoubt::kubelet
