#include "apiserver/encryption/encryption.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <pthread.h>

#include <map>

#include "apiserver/encryption/limits.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/metrics.h"
#include "pki/certificate.h"
#include "schema/resource.h"

namespace redoubt::apiserver::encryption {

namespace {

constexpr std::string_view kEncrypted = "k8s:enc:";

// "secrets" -> secrets, "deployments" -> deployments.apps, "example.com/widgets" -> widgets.example.com
GroupResource resource_of(std::string_view storage_prefix) {
  for (const schema::Resource& r : schema::builtin_resources()) {
    if (r.storage_prefix == storage_prefix) return {std::string(r.group), std::string(r.name)};
  }
  size_t slash = storage_prefix.find('/');
  if (slash == std::string_view::npos) return {"", std::string(storage_prefix)};
  return {std::string(storage_prefix.substr(0, slash)), std::string(storage_prefix.substr(slash + 1))};
}

std::string digest_of(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr);
  return std::string(reinterpret_cast<char*>(digest), size);
}

void count_operation(const char* direction, std::string_view prefix, bool ok) {
  counter("apiserver_storage_transformation_operations_total", "Values encrypted for and decrypted from the store.",
          {{"transformation_type", direction},
           {"transformer_prefix", std::string(prefix.empty() ? "identity" : prefix)},
           {"status", ok ? "OK" : "Internal"}})
      .add();
}

}  // namespace

struct Encryption::Table {
  using Providers = std::vector<std::shared_ptr<const Provider>>;  // null: identity
  std::vector<std::pair<std::vector<GroupResource>, std::shared_ptr<const Providers>>> rows;
  Providers kms;
  mutable std::mutex mutex;
  mutable std::map<std::string, std::shared_ptr<const Providers>, std::less<>> found;  // by storage prefix

  // Of a resource by name, else of its group, else of everything; null where nothing is said.
  std::shared_ptr<const Providers> look_up(const GroupResource& resource) const {
    const std::pair<std::string, std::string> wanted[] = {
        {resource.group, resource.resource}, {resource.group, "*"}, {"*", "*"}};
    for (const auto& [group, name] : wanted) {
      auto merged = std::make_shared<Providers>();
      for (const auto& [resources, providers] : rows) {
        for (const GroupResource& r : resources) {
          // A resource that several entries name has all their providers, in order.
          if (r.group == group && r.resource == name)
            merged->insert(merged->end(), providers->begin(), providers->end());
        }
      }
      if (!merged->empty()) return merged;
    }
    return nullptr;
  }

  std::shared_ptr<const Providers> providers_for(std::string_view storage_prefix) const {
    std::lock_guard lock(mutex);
    if (auto it = found.find(storage_prefix); it != found.end()) return it->second;
    auto providers = look_up(resource_of(storage_prefix));
    found.emplace(std::string(storage_prefix), providers);
    return providers;
  }
};

Result<std::shared_ptr<const Encryption::Table>> Encryption::make_table(const Config& config) {
  auto table = std::make_shared<Table>();
  for (const ResourceConfig& row : config.resources) {
    auto providers = std::make_shared<Table::Providers>();
    for (const ProviderConfig& provider : row.providers) {
      if (provider.kind == ProviderKind::Identity) {
        providers->push_back(nullptr);
      } else if (provider.kind == ProviderKind::Kms) {
        providers->push_back(make_kms_provider(provider));
        table->kms.push_back(providers->back());
      } else {
        providers->push_back(make_local_provider(provider));
      }
    }
    if (row.providers.front().kind == ProviderKind::AesCbc) {
      log_warning("encryption: aescbc does not authenticate what it encrypts; secretbox or aesgcm do",
                  {{"resource", row.resources.front().to_string()}});
    }
    table->rows.emplace_back(row.resources, std::move(providers));
  }
  return table;
}

Result<std::unique_ptr<Encryption>> Encryption::load(std::string path, bool reload,
                                                     std::chrono::milliseconds reload_every) {
  RD_TRY(std::string text, pki::read_file(path));
  auto config = parse_config(text);
  if (!config) return Error(config.error().with_context(fmt::format("the encryption configuration {}", path)));
  std::unique_ptr<Encryption> out(new Encryption(path));
  RD_TRY(auto table, make_table(*config));
  out->table_.store(std::move(table));
  out->digest_ = digest_of(text);
  OPENSSL_cleanse(text.data(), text.size());
  out->reloads_ = reload;
  out->reload_every_ = reload_every;
  if (reload) {
    out->watcher_ = std::thread([self = out.get()] {
      pthread_setname_np(pthread_self(), "encryption");
      self->watch_file();
    });
  }
  return out;
}

Encryption::~Encryption() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

Result<std::optional<store::Transformer::Sealed>> Encryption::seal(std::string_view resource, std::string_view key,
                                                                   std::string_view plain) const {
  auto table = table_.load();
  auto providers = table->providers_for(resource);
  if (!providers || providers->front() == nullptr) return std::optional<Sealed>();
  const Provider& first = *providers->front();
  auto sealed = first.seal(key, plain);
  count_operation("to_storage", first.prefix(), sealed.has_value());
  if (!sealed) return Error(sealed.error().with_context(fmt::format("encrypting {}", key)));
  return std::optional(std::move(*sealed));
}

Result<std::optional<store::Transformer::Opened>> Encryption::open(std::string_view resource, std::string_view key,
                                                                   std::string_view stored) const {
  bool plain = !stored.starts_with(kEncrypted);
  auto table = table_.load();
  auto providers = table->providers_for(resource);
  std::optional<Status> failed;
  bool identity = !providers;
  if (providers) {
    for (const auto& provider : *providers) {
      identity = identity || provider == nullptr;
      if (provider == nullptr || !stored.starts_with(provider->prefix())) continue;
      auto opened = provider->open(key, stored);
      count_operation("from_storage", provider->prefix(), opened.has_value());
      if (opened) return std::optional(std::move(*opened));
      if (!failed) failed = opened.error();
    }
  }
  if (plain && identity) return std::optional<Opened>();
  if (failed) return Error(failed->with_context(fmt::format("decrypting {}", key)));
  if (plain) {
    return internal_error(fmt::format(
        "decrypting {}: the value is not encrypted, and the configuration does not allow that for {} (no matching "
        "prefix found): add `identity: {{}}` as the last provider, then write the objects again",
        key, resource_of(resource).to_string()));
  }
  // "k8s:enc:secretbox:v1:" and what follows up to the next colon, the key's or plug-in's name.
  size_t end = kEncrypted.size();
  for (int i = 0; i < 2 && end != std::string_view::npos; ++i) end = stored.find(':', end) + 1;
  std::string prefix(stored.substr(0, std::min<size_t>(end, 32)));
  return internal_error(
      fmt::format("decrypting {}: no provider for {} in {} reads {} (no matching prefix found): the configuration must "
                  "keep every provider that something is still encrypted with",
                  key, resource_of(resource).to_string(), path_, prefix));
}

store::SealId Encryption::current_seal(std::string_view resource) const {
  auto providers = table_.load()->providers_for(resource);
  return !providers || providers->front() == nullptr ? 0 : providers->front()->current_seal();
}

bool Encryption::checks_health() const {
  return reloads_ || !table_.load()->kms.empty();
}

Result<void> Encryption::healthy() const {
  for (const auto& provider : table_.load()->kms) RD_TRYV(provider->healthy());
  return {};
}

// True when a new configuration came into force.
Result<bool> Encryption::reload() {
  RD_TRY(std::string text, pki::read_file(path_));
  std::string digest = digest_of(text);
  if (digest == digest_) return false;
  auto config = parse_config(text);
  OPENSSL_cleanse(text.data(), text.size());
  if (!config) return Error(config.error());
  RD_TRY(auto table, make_table(*config));
  auto until = std::chrono::steady_clock::now() + kReloadPatience;
  for (const auto& provider : table->kms) {
    while (true) {
      auto healthy = provider->healthy();
      if (healthy) break;
      if (std::chrono::steady_clock::now() > until)
        return Error(healthy.error().with_context("health check for new transformers failed"));
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, std::chrono::milliseconds(200), [this] { return stopping_; })) return false;
    }
  }
  // What is stored is in memory: whether the new providers read all of it shows at the next start, where it is too late
  // to ask. The old table stays alive until its last user is done.
  table_.store(std::move(table));
  digest_ = std::move(digest);
  return true;
}

void Encryption::watch_file() {
  std::string complained;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, reload_every_, [this] { return stopping_; })) return;
    }
    auto outcome = reload();
    if (outcome && !*outcome) {
      complained.clear();
      continue;
    }
    counter("apiserver_encryption_config_controller_automatic_reloads_total",
            "Reloads of the encryption configuration, by outcome.", {{"status", outcome ? "success" : "failure"}})
        .add();
    if (outcome) {
      log_info("encryption: the new configuration is in force", {{"file", path_}});
    } else if (outcome.error().message() != complained) {
      complained = outcome.error().message();
      log_error("encryption: the new configuration is not taken; the old one stays in force",
                {{"file", path_}, {"error", complained}});
    }
  }
}

}  // namespace redoubt::apiserver::encryption
