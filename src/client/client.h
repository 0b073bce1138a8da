// A client of the API server, typed by the generated structs; over the secure port and nothing else.
//
//   client::Client api(executor, std::move(config));
//   auto pod = co_await api.get<k8s::core::v1::Pod>("default", "web-1");
//
// Belongs to one loop. Errors are the server's Status, or ServiceUnavailable when it can't be reached (message says
// why).
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/task.h"
#include "net/http_client.h"
#include "net/tls.h"
#include "schema/k8s/meta_v1.h"
#include "schema/resource.h"
#include "schema/typed.h"

namespace redoubt::client {

// Where the server is, whom to trust, and who one is: what a kubeconfig says.
struct Config {
  std::string server;  // "https://10.0.0.1:6443"
  std::string ca_pem;
  std::string certificate_pem;  // client certificate, or
  std::string private_key_pem;
  std::string bearer_token;                   // a token, or
  std::string bearer_token_file;              // a file that holds it, read again when it changes
  std::string tls_server_name;                // when it differs from the URL's host
  std::vector<std::string> pinned_ca_hashes;  // instead of ca_pem, while joining
  std::string user_agent = "redoubt";
};
// Reads a kubeconfig's current context; inline data and files both. BadRequest names what is missing.
Result<Config> load_kubeconfig(std::string_view path);
// The same of a text; `name` is for errors.
Result<Config> parse_kubeconfig(std::string_view text, std::string_view name);
// Server and authorities of the only cluster in a text without contexts, as ConfigMap cluster-info carries it.
Result<Config> parse_kubeconfig_cluster(std::string_view text);
// Writes one (mode 0600) with inline data.
Result<void> write_kubeconfig(std::string_view path, const Config& config, std::string_view user_name);

struct ListOptions {
  std::string label_selector;
  std::string field_selector;
  std::string resource_version;
  int limit = 0;
  bool metadata_only = false;  // PartialObjectMetadata instead of whole objects
};
struct DeleteOptions {
  std::optional<int64_t> grace_period_seconds;
  std::string propagation_policy;  // "Background", "Foreground", "Orphan"
  std::string uid;                 // preconditions
  std::string resource_version;
};
enum class PatchType { Json, Merge, StrategicMerge };

template <class T>
struct List {
  std::vector<T> items;
  std::string resource_version;
};

// A raw answer: the status code was 2xx.
struct RawResponse {
  int status = 0;
  net::Headers headers;
  std::string body;
};

enum class WatchEventType { Added, Modified, Deleted, Bookmark };
struct RawWatchEvent {
  WatchEventType type;
  std::string object_json;
};
// Events as they come; nothing when the server ended the watch; an error for ERROR events (410 Expired: list again).
class WatchStream {
 public:
  virtual ~WatchStream() = default;
  virtual Task<Result<std::optional<RawWatchEvent>>> next() = 0;
};

class Client {
 public:
  Client(Executor executor, Config config);
  ~Client();
  Client(const Client&) = delete;

  template <class T>
  Task<Result<T>> get(std::string ns, std::string name) {
    RD_CO_TRY(RawResponse r, co_await request("GET", object_path(resource<T>(), ns, name), {}));
    co_return schema::from_json<T>(r.body);
  }
  template <class T>
  Task<Result<List<T>>> list(std::string ns = {}, ListOptions options = {}) {
    List<T> out;
    RD_CO_TRYV(co_await list_raw(resource<T>(), std::move(ns), std::move(options), out.resource_version,
                                 [&out](const schema::Value& item) -> Result<void> {
                                   RD_TRY(T object, schema::from_value<T>(item));
                                   out.items.push_back(std::move(object));
                                   return {};
                                 }));
    co_return out;
  }
  template <class T>
  Task<Result<T>> create(T object) {
    std::string ns = object.metadata.namespace_;
    RD_CO_TRY(RawResponse r, co_await request("POST", object_path(resource<T>(), ns, ""), schema::to_json(object)));
    co_return schema::from_json<T>(r.body);
  }
  template <class T>
  Task<Result<T>> update(T object, std::string subresource = {}) {
    std::string path = object_path(resource<T>(), object.metadata.namespace_, object.metadata.name, subresource);
    RD_CO_TRY(RawResponse r, co_await request("PUT", path, schema::to_json(object)));
    co_return schema::from_json<T>(r.body);
  }
  template <class T>
  Task<Result<T>> update_status(T object) {
    return update<T>(std::move(object), "status");
  }
  template <class T>
  Task<Result<T>> patch(std::string ns, std::string name, PatchType type, std::string body,
                        std::string subresource = {}) {
    RD_CO_TRY(RawResponse r, co_await request("PATCH", object_path(resource<T>(), ns, name, subresource),
                                              std::move(body), patch_content_type(type)));
    co_return schema::from_json<T>(r.body);
  }
  template <class T>
  Task<Result<void>> remove(std::string ns, std::string name, DeleteOptions options = {}) {
    RD_CO_TRYV(co_await request("DELETE", object_path(resource<T>(), ns, name), delete_options_json(options)));
    co_return Result<void>{};
  }
  template <class T>
  Task<Result<std::unique_ptr<WatchStream>>> watch(std::string ns, ListOptions options) {
    return watch_raw(resource<T>(), std::move(ns), std::move(options));
  }

  // Any request; a non-2xx answer becomes its Status. `content_type` defaults to application/json when there is a body.
  // `accept` likewise.
  Task<Result<RawResponse>> request(std::string method, std::string target, std::string body,
                                    std::string content_type = {}, std::string accept = {});
  // The same verbs for a resource that is known only by its row (discovered, perhaps a custom one). The row must
  // outlive the returned task.
  Task<Result<k8s::meta::v1::ObjectMeta>> get_metadata(const schema::Resource& resource, std::string ns,
                                                       std::string name);
  Task<Result<void>> patch_raw(const schema::Resource& resource, std::string ns, std::string name, PatchType type,
                               std::string body, std::string subresource = {});
  Task<Result<void>> remove_raw(const schema::Resource& resource, std::string ns, std::string name,
                                DeleteOptions options);
  Task<Result<void>> remove_collection(const schema::Resource& resource, std::string ns, DeleteOptions options);
  // The response as it streams (logs); the caller reads the body.
  Task<Result<net::ClientResponse>> stream(std::string method, std::string target, net::Headers headers = {});
  Task<Result<void>> list_raw(const schema::Resource& resource, std::string ns, ListOptions options,
                              std::string& resource_version, std::function<Result<void>(const schema::Value&)> each);
  Task<Result<std::unique_ptr<WatchStream>>> watch_raw(const schema::Resource& resource, std::string ns,
                                                       ListOptions options);

  // New credentials for all later requests; connections made with the old ones end when their requests do.
  Result<void> replace_certificate(std::string certificate_pem, std::string private_key_pem);
  // Later connections trust these authorities and no others; old connections end when their requests do.
  Result<void> replace_roots(std::string ca_pem);
  Executor executor() const;
  // With pinned_ca_hashes: the authority that the server showed and that matched. ServiceUnavailable before the first
  // request.
  Result<std::string> pinned_ca() const;

  static std::string object_path(const schema::Resource& resource, std::string_view ns, std::string_view name,
                                 std::string_view subresource = {});

 private:
  template <class T>
  static const schema::Resource& resource() {
    static const schema::Resource* found = schema::find_resource(T::kGroup, T::kVersion, T::kResource);
    return *found;
  }
  static std::string patch_content_type(PatchType type);
  static std::string delete_options_json(const DeleteOptions& options);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace redoubt::client
