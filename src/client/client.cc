#include "client/client.h"

#include <fstream>

#include "base/log.h"
#include "dial/proxy.h"
#include "pki/certificate.h"
#include "schema/codec.h"

namespace redoubt::client {

namespace {

constexpr size_t kMaxAnswerBytes = 256 * 1024 * 1024;
constexpr size_t kMaxWatchLineBytes = 16 * 1024 * 1024;
constexpr int kListPage = 500;
constexpr const char* kMetadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
constexpr const char* kMetadataList = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

// The server's Status of an answer that is no success.
Status status_of(int code, std::string_view body) {
  schema::Arena arena;
  auto parsed = schema::parse_json(body, arena);
  if (parsed && parsed->get({"kind"}).as_string() == "Status") {
    StatusDetails details;
    details.name = parsed->get({"details", "name"}).as_string();
    details.kind = parsed->get({"details", "kind"}).as_string();
    details.retry_after_seconds = static_cast<int>(parsed->get({"details", "retryAfterSeconds"}).as_int());
    return Status(code, std::string(parsed->get({"reason"}).as_string()),
                  std::string(parsed->get({"message"}).as_string()), std::move(details));
  }
  return Status(code,
                code == 404   ? "NotFound"
                : code == 401 ? "Unauthorized"
                              : "",
                fmt::format("the server answered {}: {}", code, body.substr(0, 200)));
}

std::string query_of(const ListOptions& options, bool watch) {
  std::string out;
  auto add = [&](std::string_view key, std::string_view value) {
    if (value.empty()) return;
    out += fmt::format("{}{}={}", out.empty() ? "?" : "&", key, net::percent_encode(value));
  };
  add("labelSelector", options.label_selector);
  add("fieldSelector", options.field_selector);
  add("resourceVersion", options.resource_version);
  if (options.limit > 0) add("limit", std::to_string(options.limit));
  if (watch) {
    add("watch", "true");
    add("allowWatchBookmarks", "true");
  }
  return out;
}

}  // namespace

struct Client::State {
  State(Executor e, Config c) : executor(e), config(std::move(c)) {}
  Executor executor;
  Config config;
  std::shared_ptr<net::TlsClientContext> tls;
  std::unique_ptr<net::HttpClient> http;
  std::string setup_error;
  std::string token;
  std::chrono::steady_clock::time_point token_read{};

  void make_http() {
    std::string_view server = config.server;
    bool https = server.starts_with("https://");
    if (!https) {
      setup_error = fmt::format("server \"{}\": only https is spoken", config.server);
      return;
    }
    server.remove_prefix(8);
    while (server.ends_with('/')) server.remove_suffix(1);
    auto address = net::parse_address(server.find(':') == std::string_view::npos || server.ends_with(']')
                                          ? std::string(server) + ":443"
                                          : std::string(server));
    if (!address) {
      setup_error = address.error().message();
      return;
    }
    net::TlsClientContext::Options options;
    options.ca_pem = config.ca_pem;
    options.certificate_pem = config.certificate_pem;
    options.private_key_pem = config.private_key_pem;
    options.server_name = config.tls_server_name;
    options.pinned_ca_hashes = config.pinned_ca_hashes;
    auto made = net::TlsClientContext::make(std::move(options));
    if (!made) {
      setup_error = made.error().message();
      return;
    }
    tls = *made;
    net::HttpClient::Options http_options;
    net::Address to = *address;
    http_options.dial = [to, proxy = net::ProxySettings::from_environment()] {
      return net::dial_out(to, proxy, std::chrono::seconds(10));
    };
    http_options.host = to.to_string();
    http_options.tls = tls;
    http = net::HttpClient::make(executor, std::move(http_options));
  }

  void add_credentials(net::Headers& headers) {
    headers.set("user-agent", config.user_agent);
    std::string bearer = config.bearer_token;
    if (!config.bearer_token_file.empty()) {
      auto present = std::chrono::steady_clock::now();
      if (token.empty() || present - token_read > std::chrono::minutes(1)) {
        if (auto text = pki::read_file(config.bearer_token_file)) token = *text;
        while (!token.empty() && (token.back() == '\n' || token.back() == ' ')) token.pop_back();
        token_read = present;
      }
      bearer = token;
    }
    if (!bearer.empty()) headers.set("authorization", "Bearer " + bearer);
  }
};

Client::Client(Executor executor, Config config) : state_(std::make_unique<State>(executor, std::move(config))) {
  state_->make_http();
}
Client::~Client() = default;
Executor Client::executor() const {
  return state_->executor;
}

Result<std::string> Client::pinned_ca() const {
  std::string pem = state_->tls ? state_->tls->pinned_ca() : std::string();
  if (pem.empty()) return service_unavailable("no connection to the server was made yet");
  return pem;
}

Result<void> Client::replace_certificate(std::string certificate_pem, std::string private_key_pem) {
  if (!state_->tls) return service_unavailable(state_->setup_error);
  RD_TRYV(state_->tls->replace_certificate(std::move(certificate_pem), std::move(private_key_pem)));
  state_->http->drop_idle();
  return {};
}

Result<void> Client::replace_roots(std::string ca_pem) {
  if (!state_->tls) return service_unavailable(state_->setup_error);
  RD_TRYV(state_->tls->replace_roots(std::move(ca_pem)));
  state_->http->drop_idle();
  return {};
}

std::string Client::object_path(const schema::Resource& r, std::string_view ns, std::string_view name,
                                std::string_view subresource) {
  std::string out =
      r.group.empty() ? fmt::format("/api/{}", r.version) : fmt::format("/apis/{}/{}", r.group, r.version);
  if (r.namespaced && !ns.empty()) out += "/namespaces/" + net::percent_encode(ns);
  out += fmt::format("/{}", r.name);
  if (!name.empty()) out += "/" + net::percent_encode(name);
  if (!subresource.empty()) out += fmt::format("/{}", subresource);
  return out;
}

std::string Client::patch_content_type(PatchType type) {
  switch (type) {
    case PatchType::Json:
      return "application/json-patch+json";
    case PatchType::Merge:
      return "application/merge-patch+json";
    case PatchType::StrategicMerge:
      return "application/strategic-merge-patch+json";
  }
  return "";
}

std::string Client::delete_options_json(const DeleteOptions& options) {
  std::string out = R"({"kind":"DeleteOptions","apiVersion":"v1")";
  if (options.grace_period_seconds) out += fmt::format(R"(,"gracePeriodSeconds":{})", *options.grace_period_seconds);
  if (!options.propagation_policy.empty())
    out += fmt::format(R"(,"propagationPolicy":"{}")", options.propagation_policy);
  if (!options.uid.empty() || !options.resource_version.empty()) {
    out += ",\"preconditions\":{";
    if (!options.uid.empty()) out += fmt::format(R"("uid":"{}")", options.uid);
    if (!options.resource_version.empty())
      out += fmt::format(R"({}"resourceVersion":"{}")", options.uid.empty() ? "" : ",", options.resource_version);
    out += '}';
  }
  return out + "}";
}

Task<Result<RawResponse>> Client::request(std::string method, std::string target, std::string body,
                                          std::string content_type, std::string accept) {
  if (!state_->http) co_return service_unavailable(state_->setup_error);
  net::ClientRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.headers.add("accept", accept.empty() ? "application/json" : std::move(accept));
  if (!body.empty()) {
    request.headers.add("content-type", content_type.empty() ? "application/json" : content_type);
    request.body.push_back(Bytes::take(std::move(body)));
  }
  state_->add_credentials(request.headers);
  RD_CO_TRY(net::ClientResponse response, co_await state_->http->send(std::move(request)));
  RD_CO_TRY(std::string text, co_await net::read_body(*response.body, kMaxAnswerBytes));
  if (response.status < 200 || response.status > 299) co_return Error(status_of(response.status, text));
  co_return RawResponse{response.status, std::move(response.headers), std::move(text)};
}

Task<Result<k8s::meta::v1::ObjectMeta>> Client::get_metadata(const schema::Resource& resource, std::string ns,
                                                             std::string name) {
  RD_CO_TRY(RawResponse response, co_await request("GET", object_path(resource, ns, name), {}, {}, kMetadata));
  schema::Arena arena;
  RD_CO_TRY(schema::Value object, schema::parse_json(response.body, arena, {.max_bytes = kMaxAnswerBytes}));
  co_return schema::from_value<k8s::meta::v1::ObjectMeta>(object.get({"metadata"}));
}

Task<Result<void>> Client::patch_raw(const schema::Resource& resource, std::string ns, std::string name, PatchType type,
                                     std::string body, std::string subresource) {
  RD_CO_TRYV(co_await request("PATCH", object_path(resource, ns, name, subresource), std::move(body),
                              patch_content_type(type), kMetadata));
  co_return Result<void>{};
}

Task<Result<void>> Client::remove_raw(const schema::Resource& resource, std::string ns, std::string name,
                                      DeleteOptions options) {
  RD_CO_TRYV(co_await request("DELETE", object_path(resource, ns, name), delete_options_json(options)));
  co_return Result<void>{};
}

Task<Result<void>> Client::remove_collection(const schema::Resource& resource, std::string ns, DeleteOptions options) {
  RD_CO_TRYV(
      co_await request("DELETE", object_path(resource, ns, ""), delete_options_json(options), {}, kMetadataList));
  co_return Result<void>{};
}

Task<Result<net::ClientResponse>> Client::stream(std::string method, std::string target, net::Headers headers) {
  if (!state_->http) co_return service_unavailable(state_->setup_error);
  net::ClientRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.headers = std::move(headers);
  state_->add_credentials(request.headers);
  RD_CO_TRY(net::ClientResponse response, co_await state_->http->send(std::move(request)));
  if (response.status < 200 || response.status > 299) {
    RD_CO_TRY(std::string text, co_await net::read_body(*response.body, 1 << 20));
    co_return Error(status_of(response.status, text));
  }
  co_return response;
}

Task<Result<void>> Client::list_raw(const schema::Resource& resource, std::string ns, ListOptions options,
                                    std::string& resource_version,
                                    std::function<Result<void>(const schema::Value&)> each) {
  std::string token;
  // A list is consistent over its pages: they all show the first one's revision.
  do {
    ListOptions page = options;
    if (page.limit == 0) page.limit = kListPage;
    std::string target = object_path(resource, ns, "") + query_of(page, false);
    if (!token.empty()) {
      page.resource_version.clear();
      target = object_path(resource, ns, "") + query_of(page, false) + "&continue=" + net::percent_encode(token);
    }
    RD_CO_TRY(RawResponse response,
              co_await request("GET", target, {}, {}, options.metadata_only ? kMetadataList : ""));
    schema::Arena arena;
    RD_CO_TRY(schema::Value list, schema::parse_json(response.body, arena, {.max_bytes = kMaxAnswerBytes}));
    resource_version = list.get({"metadata", "resourceVersion"}).as_string();
    token = options.limit > 0 ? "" : list.get({"metadata", "continue"}).as_string();
    for (const schema::Value& item : schema::items(list.get({"items"}))) RD_CO_TRYV(each(item));
  } while (!token.empty());
  co_return Result<void>{};
}

namespace {

class WatchStreamImpl : public WatchStream {
 public:
  explicit WatchStreamImpl(net::ClientResponse response) : response_(std::move(response)) {}

  Task<Result<std::optional<RawWatchEvent>>> next() override {
    while (true) {
      size_t end = buffer_.find('\n', searched_);
      if (end != std::string::npos) {
        std::string_view line = std::string_view(buffer_).substr(begin_, end - begin_);
        begin_ = searched_ = end + 1;
        if (line.empty()) continue;
        co_return parse(line);
      }
      buffer_.erase(0, begin_);
      begin_ = 0;
      searched_ = buffer_.size();
      if (buffer_.size() > kMaxWatchLineBytes) co_return internal_error("a watch event is too large");
      RD_CO_TRY(Bytes piece, co_await response_.body->read_some());
      if (piece.empty()) co_return std::optional<RawWatchEvent>();
      buffer_ += piece.view();
    }
  }

 private:
  static WatchEventType type_of(std::string_view text) {
    return text == "ADDED"      ? WatchEventType::Added
           : text == "DELETED"  ? WatchEventType::Deleted
           : text == "BOOKMARK" ? WatchEventType::Bookmark
                                : WatchEventType::Modified;
  }

  static Result<std::optional<RawWatchEvent>> parse(std::string_view line) {
    // As servers write it, the object can be cut out unread; who wants it decodes it.
    constexpr std::string_view kHead = "{\"type\":\"", kMiddle = "\",\"object\":";
    if (line.starts_with(kHead) && line.ends_with('}')) {
      std::string_view rest = line.substr(kHead.size(), line.size() - kHead.size() - 1);
      size_t quote = rest.find('"');
      if (rest.substr(0, quote) != "ERROR" && quote != std::string_view::npos &&
          rest.substr(quote).starts_with(kMiddle))
        return std::optional(
            RawWatchEvent{type_of(rest.substr(0, quote)), std::string(rest.substr(quote + kMiddle.size()))});
    }
    schema::Arena arena;
    RD_TRY(schema::Value event, schema::parse_json(line, arena, {.max_bytes = kMaxWatchLineBytes}));
    std::string_view type = event.get({"type"}).as_string();
    if (type == "ERROR") {
      schema::Value status = event.get({"object"});
      return Error(Status(static_cast<int>(status.get({"code"}).as_int(500)),
                          std::string(status.get({"reason"}).as_string()),
                          std::string(status.get({"message"}).as_string())));
    }
    return std::optional(RawWatchEvent{type_of(type), schema::to_json(event.get({"object"}), nullptr)});
  }
  net::ClientResponse response_;
  std::string buffer_;
  size_t begin_ = 0;     // of the line to come
  size_t searched_ = 0;  // up to here there is no end of it
};

}  // namespace

Task<Result<std::unique_ptr<WatchStream>>> Client::watch_raw(const schema::Resource& resource, std::string ns,
                                                             ListOptions options) {
  net::Headers headers{{"accept", options.metadata_only ? kMetadata : "application/json"}};
  RD_CO_TRY(net::ClientResponse response,
            co_await stream("GET", object_path(resource, ns, "") + query_of(options, true), std::move(headers)));
  std::unique_ptr<WatchStream> out = std::make_unique<WatchStreamImpl>(std::move(response));
  co_return out;
}

}  // namespace redoubt::client
