#include "cmd/server.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <future>

#include "apiserver/apiserver.h"
#include "apiserver/encryption/default_config.h"
#include "apiserver/encryption/encryption.h"
#include "apiserver/kubelet_connect.h"
#include "apiserver/objects.h"
#include "base/blocking.h"
#include "base/log.h"
#include "client/client.h"
#include "cmd/control_plane.h"
#include "cmd/egress.h"
#include "cmd/flags/flags.h"
#include "cmd/paths_page.h"
#include "cmd/sni.h"
#include "net/http_server.h"
#include "store/sqlite/sqlite_store.h"

namespace redoubt::cmd {

std::string default_address() {
  // Connecting a UDP socket sends nothing; it only asks the kernel which source it would use.
  int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  inet_pton(AF_INET, "203.0.113.1", &to.sin_addr);
  std::string out = "127.0.0.1";
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) {
    sockaddr_in local{};
    socklen_t size = sizeof local;
    char text[INET_ADDRSTRLEN];
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size) == 0)
      out = inet_ntop(AF_INET, &local.sin_addr, text, sizeof text);
  }
  ::close(fd);
  return out;
}

namespace {

// Runs a task on a loop of the pool and waits for it here.
template <class T>
T run_on(Executor executor, Task<T> task) {
  std::promise<T> promise;
  auto future = promise.get_future();
  boost::asio::co_spawn(executor, std::move(task), [&promise](std::exception_ptr failure, T value) {
    if (failure) {
      promise.set_exception(failure);
    } else {
      promise.set_value(std::move(value));
    }
  });
  return future.get();
}

class ServerImpl : public Server {
 public:
  explicit ServerImpl(ServerOptions options) : options_(std::move(options)) {}
  ~ServerImpl() override { stop(); }

  Result<void> run() {
    if (options_.advertise_address.empty())
      options_.advertise_address = options_.bind_address == "0.0.0.0" || options_.bind_address == "::"
                                       ? default_address()
                                       : options_.bind_address;
    if (!apiserver::canonical_ip(options_.advertise_address))
      return bad_request(fmt::format("--advertise-address \"{}\" must be an IP address", options_.advertise_address));
    std::error_code error;
    std::filesystem::create_directories(options_.data_dir, error);
    if (error)
      return service_unavailable(fmt::format("can't make the data folder {}: {}", options_.data_dir, error.message()));
    std::filesystem::permissions(options_.data_dir, std::filesystem::perms::owner_all, error);

    store::SqliteOptions store_options;
    store_options.path = options_.data_dir + "/redoubt.db";
    store_options.index = apiserver::index_object;
    std::string encryption_config = options_.encryption_provider_config;
    if (encryption_config.empty()) {
      RD_TRY(encryption_config, apiserver::encryption::ensure_default_config(options_.data_dir + "/pki/encryption"));
    }
    RD_TRY(encryption_, apiserver::encryption::Encryption::load(encryption_config,
                                                                options_.encryption_provider_config_automatic_reload));
    store_options.transformer = encryption_.get();
    RD_TRY(store_, store::open_sqlite_store(std::move(store_options)));

    apiserver::ApiServerOptions api;
    api.store = store_.get();
    api.service_cluster_ip_range = options_.service_cluster_ip_range;
    api.service_node_port_range = options_.service_node_port_range;
    RD_TRY(auto service_networks, apiserver::parse_service_networks(options_.service_cluster_ip_range));
    const std::string service_ip = service_networks.front().at(1);
    pki::ClusterPkiOptions pki_options;
    pki_options.folder = options_.data_dir + "/pki";
    pki_options.apiserver_ip_addresses = {"127.0.0.1", service_ip};
    if (options_.advertise_address != "127.0.0.1")
      pki_options.apiserver_ip_addresses.push_back(options_.advertise_address);
    for (const std::string& san : options_.tls_sans) {
      in6_addr raw{};
      bool ip = inet_pton(AF_INET, san.c_str(), &raw) == 1 || inet_pton(AF_INET6, san.c_str(), &raw) == 1;
      (ip ? pki_options.apiserver_ip_addresses : pki_options.apiserver_dns_names).push_back(san);
    }
    char host[256] = "";
    ::gethostname(host, sizeof host - 1);
    if (host[0] != '\0') pki_options.apiserver_dns_names.emplace_back(host);
    pki_options.leaf_lifetime = options_.tls.certificate_duration;
    RD_TRY(pki_options.given, given_files(options_));
    RD_TRY(sni_files_, parse_sni(options_.tls.sni_cert_keys));
    std::vector<std::string> watched;
    for (const SniFiles& files : sni_files_) watched.insert(watched.end(), {files.certificate, files.key});
    for (std::string& file : live_files(options_.authentication)) watched.push_back(std::move(file));
    if (!options_.connect.kubelet_certificate_authority.empty())
      watched.push_back(options_.connect.kubelet_certificate_authority);
    RD_TRY(live_pki_, pki::LivePki::open(pki_options, std::move(watched)));
    pki::ClusterPki pki = *live_pki_->current();

    RD_TRYV(apply(options_.authentication, pki, api, live_authentication_));
    RD_TRYV(apply(options_.authorization, api));
    api.authentication.store = store_.get();
    api.advertise_address = options_.advertise_address;
    api.advertise_port = options_.secure_port;
    api.client_ca_pem = pki.ca_bundle;
    api.max_requests_inflight = options_.max_requests_inflight;
    api.max_mutating_requests_inflight = options_.max_mutating_requests_inflight;
    AgentTrust agents{[this] { return live_pki_->current()->client_ca_bundle; },
                      client_config(pki.clients.at("controller-manager"), "")};
    RD_TRY(egress_, make_egress(options_.egress, *store_, std::move(agents)));
    api.tunnels = egress_.tunnels.get();
    // Issuers and webhooks of authentication and authorization are named by URL: the control plane's network.
    api.authentication.dial = api.authorization.dial = [dialer = egress_.dialer.get()](net::Address to) {
      return dialer->dial(egress::PathId::ApiserverWebhook, {"", std::move(to), egress::Network::ControlPlane});
    };
    size_t count = options_.loops > 0 ? options_.loops : std::max(1U, std::thread::hardware_concurrency());
    loops_ = std::make_unique<net::LoopPool>(count, "api");
    api.loop = loops_->executor(0);
    RD_TRY(connect_, make_connect(pki, service_ip));
    api.connect = connect_.get();
    api.dialer = egress_.dialer.get();
    api.front_proxy_client = [live = live_pki_.get()] {
      const pki::KeyPair& pair = live->current()->front_proxy_client;
      return std::pair(pair.certificate_pem, pair.private_key_pem);
    };
    api.authorities.own_front_proxy = own_front_proxy(pki);
    // Front proxies' authorities too, so that they know which certificate is wanted.
    std::string client_ca = api.authorities.clients + "\n" + api.authorities.front_proxies;
    if (encryption_->checks_health())
      api.health_checks.emplace_back("kms-providers",
                                     [encryption = encryption_.get()] { return encryption->healthy(); });
    RD_TRY(auditor_, make_auditor(options_.audit, *egress_.dialer));
    api.auditor = auditor_.get();
    paths_ = PathsPage::make(*this, egress_, *store_);
    api.documents = paths_->documents();
    RD_TRY(api_, apiserver::ApiServer::make(std::move(api)));

    net::TlsServerContext::Options tls;
    tls.certificate_pem = serving_chain(pki);
    tls.private_key_pem = pki.apiserver.private_key_pem;
    tls.client_ca_hint_pem = client_ca;
    tls.policy = options_.tls.policy;
    RD_TRY(tls.sni, all_sni(pki));
    net::HttpServerOptions http;
    http.address = options_.bind_address;
    http.port = options_.secure_port;
    RD_TRY(tls_, net::TlsServerContext::make(std::move(tls)));
    http.tls = tls_;
    http.starter = api_->starter();
    RD_TRY(http_, net::HttpServer::start(*loops_, std::move(http)));
    RD_TRYV(run_on(loops_->executor(0), api_->bootstrap()));
    if (egress_.konnectivity) RD_TRYV(egress_.konnectivity->start(tls_));

    RD_TRYV(write_admin(pki));
    on_loop([this] {
      scope_ = std::make_unique<Scope>(loops_->executor(0), "certificates");
      scope_->spawn(live_pki_->run());
      scope_->spawn(api_->keep_published());
    });
    subscription_ = live_pki_->subscribe(loops_->executor(0), [this](const pki::ClusterPki& now) { take_over(now); });
    RD_TRY(control_plane_, ControlPlane::start(*this));
    log_info("API server is ready", {{"address", fmt::format("{}:{}", options_.bind_address, http_->port())},
                                     {"advertised", options_.advertise_address}});
    return {};
  }

  pki::ClusterPki pki() const override { return *live_pki_->current(); }
  pki::LivePki& live_pki() const override { return *live_pki_; }
  const ServerOptions& options() const override { return options_; }
  std::string service_ip() const override { return api_->service_ip(); }

  client::Config client_config(const pki::KeyPair& identity, std::string user_agent) const override {
    client::Config config;
    config.server = fmt::format("https://127.0.0.1:{}", options_.secure_port);
    if (options_.bind_address != "0.0.0.0" && options_.bind_address != "::" && options_.bind_address != "127.0.0.1")
      config.server = fmt::format("https://{}:{}", options_.bind_address, options_.secure_port);
    auto now = live_pki_->current();
    config.ca_pem = now->root_bundle;
    if (!now->loopback.certificate_pem.empty()) config.tls_server_name = pki::kLoopbackName;
    config.certificate_pem = identity.certificate_pem;
    config.private_key_pem = identity.private_key_pem;
    if (!user_agent.empty()) config.user_agent = std::move(user_agent);
    return config;
  }

  Result<std::unique_ptr<apiserver::ClusterConnect>> make_connect(const pki::ClusterPki& pki,
                                                                  const std::string& service_ip) const {
    const ConnectOptions& c = options_.connect;
    apiserver::KubeletConnectOptions out{*egress_.dialer, *store_, "", pki.apiserver_kubelet_client.certificate_pem,
                                         pki.apiserver_kubelet_client.private_key_pem};
    RD_TRY(out.kubelet_ca_pem, kubelet_authorities(pki));
    out.check_address = !c.kubelet_certificate_authority.empty();
    out.preferred_address_types = c.kubelet_preferred_address_types;
    out.timeout = c.kubelet_timeout;
    out.cluster_ca_pem = pki.ca_bundle;
    out.policy = c.proxy;
    for (const std::string& own : {options_.advertise_address, options_.bind_address, std::string("127.0.0.1")})
      out.apiserver.push_back({own, options_.secure_port});
    out.apiserver.push_back({service_ip, 443});
    return apiserver::make_kubelet_connect(std::move(out));
  }

  void stop() override {
    if (!loops_) return;
    control_plane_.reset();
    if (egress_.reverse) egress_.reverse->drain();
    subscription_.reset();
    if (scope_) {
      run_on(loops_->executor(0), [](Scope& scope) -> Task<bool> {
        co_await scope.join();
        co_return true;
      }(*scope_));
    }
    if (http_) {
      run_on(loops_->executor(0), [](net::HttpServer& server) -> Task<bool> {
        co_await server.drain(std::chrono::seconds(2));
        co_return true;
      }(*http_));
    }
    if (api_) {
      run_on(loops_->executor(0), [](apiserver::ApiServer& api) -> Task<bool> {
        co_await api.stop();
        co_return true;
      }(*api_));
    }
    loops_->stop();
    http_.reset();
    if (connect_) connect_->clear();
    if (api_) api_->clear();
    loops_.reset();
    api_.reset();
    auditor_.reset();  // the last events are written
    store_.reset();
  }

 private:
  // The CA goes along, so that a joining node can check it against the hash it was given.
  std::string serving_chain(const pki::ClusterPki& pki) const {
    return options_.tls.cert_file.empty() ? pki.apiserver.certificate_pem + pki.ca.certificate_pem
                                          : pki::with_root(pki.apiserver.certificate_pem, pki.root_bundle);
  }

  // Who signed our own front proxy's certificate. One that was given is of an authority that flags name.
  std::string own_front_proxy(const pki::ClusterPki& pki) const {
    return options_.connect.proxy_client_cert_file.empty() ? pki.front_proxy_ca_bundle : "";
  }

  // Whom kubelets' serving certificates come from.
  Result<std::string> kubelet_authorities(const pki::ClusterPki& pki) const {
    const std::string& file = options_.connect.kubelet_certificate_authority;
    if (file.empty()) return pki.kubelet_ca_bundle;
    return pki::load_given_bundle({"--kubelet-certificate-authority", file, "", ""});
  }

  // Certificates by name: the administrator's, and our own for clients on this machine.
  Result<std::vector<net::TlsServerContext::Options::Sni>> all_sni(const pki::ClusterPki& pki) const {
    RD_TRY(auto out, read_sni(sni_files_));
    if (!pki.loopback.certificate_pem.empty())
      out.push_back({pki.loopback.certificate_pem, pki.loopback.private_key_pem, {std::string(pki::kLoopbackName)}});
    return out;
  }

  Result<void> write_admin(const pki::ClusterPki& pki) const {
    client::Config admin = client_config(pki.clients.at("admin"), "");
    return client::write_kubeconfig(
        options_.write_kubeconfig.empty() ? options_.data_dir + "/admin.kubeconfig" : options_.write_kubeconfig, admin,
        "kubernetes-admin");
  }

  // What changed is handed to whoever uses it. One that can't take it keeps what it has, and the log says so.
  void take_over(const pki::ClusterPki& pki) {
    auto note = [](const char* what, const Result<void>& outcome) {
      if (!outcome)
        log_error("a changed key or certificate can't be used; the old one stays",
                  {{"for", what}, {"error", outcome.error().message()}});
    };
    // Trust first: a certificate of a new authority is shown only once its own clients take it.
    auto accepted = refresh(options_.authentication, pki, live_authentication_);
    note("client certificates and tokens",
         accepted ? tls_->replace_client_ca_hint(accepted->clients + "\n" + accepted->front_proxies)
                  : Error(accepted.error()));
    if (accepted)
      scope_->spawn([](apiserver::ApiServer& api, apiserver::PublishedAuthorities now, auto said) -> Task<void> {
        said("extension API servers", co_await api.publish(std::move(now)));
      }(*api_, {accepted->clients, accepted->front_proxies, own_front_proxy(pki)}, note));
    note("the secure port", tls_->replace_certificate(serving_chain(pki), pki.apiserver.private_key_pem));
    if (egress_.konnectivity) egress_.konnectivity->replace(pki);
    auto kubelets = kubelet_authorities(pki);
    note("kubelets' serving certificates", kubelets ? Result<void>{} : Error(kubelets.error()));
    connect_->replace_kubelet_credentials(kubelets.value_or(""), pki.apiserver_kubelet_client.certificate_pem,
                                          pki.apiserver_kubelet_client.private_key_pem);
    scope_->spawn([](ServerImpl& self, pki::ClusterPki now, auto said) -> Task<void> {
      // Not cancellable: the scope's end waits for it.
      co_await run_blocking([&self, &now, &said] {
        auto sni = self.all_sni(now);
        said("--tls-sni-cert-key", sni ? self.tls_->replace_sni(std::move(*sni)) : Error(sni.error()));
        said("the administrator's kubeconfig", self.write_admin(now));
      });
    }(*this, pki, note));
  }

  void on_loop(std::function<void()> work) {
    std::promise<void> done;
    boost::asio::post(loops_->executor(0), [&] {
      work();
      done.set_value();
    });
    done.get_future().get();
  }

  ServerOptions options_;
  std::unique_ptr<pki::LivePki> live_pki_;
  std::shared_ptr<void> subscription_;
  LiveAuthentication live_authentication_;
  std::shared_ptr<net::TlsServerContext> tls_;
  std::vector<SniFiles> sni_files_;
  std::unique_ptr<apiserver::encryption::Encryption> encryption_;  // outlives the store
  std::unique_ptr<store::Store> store_;
  Egress egress_;
  std::unique_ptr<apiserver::audit::Auditor> auditor_;
  std::unique_ptr<apiserver::ClusterConnect> connect_;
  std::unique_ptr<PathsPage> paths_;
  std::unique_ptr<apiserver::ApiServer> api_;
  std::unique_ptr<net::LoopPool> loops_;
  std::unique_ptr<Scope> scope_;  // on the first loop
  std::unique_ptr<net::HttpServer> http_;
  std::unique_ptr<ControlPlane> control_plane_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(ServerOptions options) {
  auto server = std::make_unique<ServerImpl>(std::move(options));
  RD_TRYV(server->run());
  return server;
}

}  // namespace redoubt::cmd
