#include "base/encoding.h"
#include "base/json_text.h"
#include "client/client.h"
#include "pki/certificate.h"
#include "schema/codec.h"

namespace redoubt::client {

namespace {

using schema::Value;

// A file that a kubeconfig names is looked for beside it.
std::string beside(std::string_view config, std::string_view file) {
  size_t slash = config.rfind('/');
  if (file.empty() || file.starts_with('/') || slash == std::string_view::npos) return std::string(file);
  return std::string(config.substr(0, slash + 1)) + std::string(file);
}

// Inline base64 data, or the file that is named.
Result<std::string> data_or_file(const Value& from, std::string_view name, std::string_view config) {
  if (Value data = from.get({std::string(name) + "-data"}); data.is_string()) {
    auto decoded = base64_decode(data.as_string());
    if (!decoded) return bad_request(fmt::format("{}-data is no base64 text", name));
    return *decoded;
  }
  if (Value file = from.get({name}); file.is_string()) return pki::read_file(beside(config, file.as_string()));
  return std::string();
}

Value named(const Value& list, std::string_view name) {
  for (const Value& item : schema::items(list)) {
    if (item.get({"name"}).as_string() == name) return item;
  }
  return {};
}

}  // namespace

Result<Config> load_kubeconfig(std::string_view path) {
  RD_TRY(std::string text, pki::read_file(std::string(path)));
  return parse_kubeconfig(text, path);
}

Result<Config> parse_kubeconfig_cluster(std::string_view text) {
  schema::Arena arena;
  RD_TRY(Value parsed, schema::parse_yaml(text, arena));
  Value clusters = parsed.get({"clusters"});
  if (clusters.size() != 1) return bad_request("one cluster was looked for");
  for (const Value& item : schema::items(clusters)) {
    Value cluster = item.get({"cluster"});
    Config out;
    out.server = cluster.get({"server"}).as_string();
    if (out.server.empty()) return bad_request("the cluster has no server");
    // Inline only: a text from elsewhere names no file of this machine.
    auto decoded = base64_decode(cluster.get({"certificate-authority-data"}).as_string());
    if (!decoded || decoded->empty()) return bad_request("the cluster has no certificate-authority-data");
    out.ca_pem = std::move(*decoded);
    return out;
  }
  return bad_request("there is no cluster");
}

Result<Config> parse_kubeconfig(std::string_view text, std::string_view path) {
  schema::Arena arena;
  auto parsed = schema::parse_yaml(text, arena);
  if (!parsed) return Error(parsed.error().with_context(path));
  auto missing = [&](std::string_view what) { return bad_request(fmt::format("{}: {}", path, what)); };
  std::string_view current = parsed->get({"current-context"}).as_string();
  Value context = named(parsed->get({"contexts"}), current).get({"context"});
  if (!context.is_object()) return missing(fmt::format("there is no context \"{}\" (current-context)", current));
  Value cluster = named(parsed->get({"clusters"}), context.get({"cluster"}).as_string()).get({"cluster"});
  if (!cluster.is_object()) return missing("the context's cluster is not there");
  Value user = named(parsed->get({"users"}), context.get({"user"}).as_string()).get({"user"});
  Config out;
  out.server = cluster.get({"server"}).as_string();
  if (out.server.empty()) return missing("the cluster has no server");
  if (cluster.get({"insecure-skip-tls-verify"}).as_bool())
    return missing("insecure-skip-tls-verify is not supported: name the certificate-authority");
  out.tls_server_name = cluster.get({"tls-server-name"}).as_string();
  RD_TRY(out.ca_pem, data_or_file(cluster, "certificate-authority", path));
  RD_TRY(out.certificate_pem, data_or_file(user, "client-certificate", path));
  RD_TRY(out.private_key_pem, data_or_file(user, "client-key", path));
  out.bearer_token = user.get({"token"}).as_string();
  out.bearer_token_file = beside(path, user.get({"tokenFile"}).as_string());
  // Never without the credential that was meant.
  for (const char* other : {"exec", "auth-provider", "username"}) {
    if (user.has(other))
      return missing(
          fmt::format("the user's {} is not supported: use a client certificate, token or tokenFile", other));
  }
  return out;
}

Result<void> write_kubeconfig(std::string_view path, const Config& config, std::string_view user_name) {
  auto quoted = [](std::string_view t) {
    std::string out;
    append_json_string(out, t);
    return out;
  };
  std::string user;
  auto add = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) user += fmt::format("    {}: {}\n", key, quoted(value));
  };
  if (!config.certificate_pem.empty()) {
    add("client-certificate-data", base64_encode(config.certificate_pem));
    add("client-key-data", base64_encode(config.private_key_pem));
  }
  add("token", config.bearer_token);
  add("tokenFile", config.bearer_token_file);
  std::string text = fmt::format(
      "apiVersion: v1\nkind: Config\nclusters:\n- name: redoubt\n  cluster:\n    server: {}\n    "
      "certificate-authority-data: {}\n{}contexts:\n- name: redoubt\n  context:\n    cluster: redoubt\n"
      "    user: {}\ncurrent-context: redoubt\nusers:\n- name: {}\n  user:\n{}",
      quoted(config.server), quoted(base64_encode(config.ca_pem)),
      config.tls_server_name.empty() ? "" : fmt::format("    tls-server-name: {}\n", quoted(config.tls_server_name)),
      quoted(user_name), quoted(user_name), user.empty() ? "    {}\n" : user);
  return pki::write_file(std::string(path), text, 0600);
}

}  // namespace redoubt::client
