#include "pki/rotation.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "pki/certificate.h"
#include "pki/cluster_pki.h"

namespace redoubt::pki {

namespace {

// The files of one authority; a signing key has no certificate, its public half takes that place.
struct Files {
  Files(const std::string& folder, std::string_view name)
      : key(fmt::format("{}/{}.key", folder, name)),
        shown(fmt::format("{}/{}.{}", folder, name, name == kServiceAccountKey ? "pub" : "crt")),
        next_key(fmt::format("{}/{}-next.key", folder, name)),
        next_shown(fmt::format("{}/{}-next.{}", folder, name, name == kServiceAccountKey ? "pub" : "crt")),
        previous(fmt::format("{}/{}-previous.{}", folder, name, name == kServiceAccountKey ? "pub" : "crt")) {}
  std::string key, shown, next_key, next_shown, previous;
};

bool there(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

Result<void> rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    return service_unavailable(fmt::format("can't rename {} to {}: {}", from, to, std::strerror(errno)));
  return {};
}

Result<void> remove(const std::string& path) {
  std::error_code error;
  std::filesystem::remove(path, error);
  if (error) return service_unavailable(fmt::format("can't remove {}: {}", path, error.message()));
  return {};
}

Result<RotationPhase> phase_of(const std::string& folder, std::string_view name) {
  if (std::find(std::begin(kAuthorities), std::end(kAuthorities), name) == std::end(kAuthorities))
    return bad_request(
        fmt::format("there is no authority \"{}\": one of ca, kubelet-ca, front-proxy-ca, sa is meant", name));
  Files files(folder, name);
  if (!there(files.key)) return not_found({}, fmt::format("{} (no such file)", files.key));
  if (there(files.next_shown)) return RotationPhase::Trusted;
  return there(files.previous) ? RotationPhase::Switched : RotationPhase::None;
}

bool of_one_key(std::string_view name, const std::string& shown, const std::string& key) {
  if (name != kServiceAccountKey) return belongs_together({shown, key});
  auto public_key = public_key_of(key);
  return public_key && *public_key == shown;
}

}  // namespace

Result<RotationPhase> rotation_phase(const std::string& folder, std::string_view name) {
  return phase_of(folder, name);
}

Result<std::string> why_external(const std::string& folder, std::string_view name) {
  struct Instead {
    std::string_view authority, given, does;
  };
  constexpr Instead kInstead[] = {
      {"kubelet-ca", kKubeletServingSigner, "signs kubelets' serving certificates"},
      {"front-proxy-ca", "front-proxy-client", "is shown to aggregated API servers"},
      {kServiceAccountKey, kServiceAccountKey, "signs ServiceAccount tokens"},
  };
  RD_TRY(Given given, recall_given(folder));
  for (const Instead& one : kInstead) {
    const GivenFile* file = one.authority == name ? find_given(given, one.given) : nullptr;
    if (file == nullptr) continue;
    bool key = file->certificate_file.empty();
    return fmt::format("external: {} ({}) {}", key ? file->key_file : file->certificate_file,
                       key ? file->key_flag : file->certificate_flag, one.does);
  }
  return std::string();
}

Result<void> complete_switch(const std::string& folder, std::string_view name) {
  // The key is renamed first: a key that is the next certificate's, with the old certificate still in place, is the
  // mark of a switch cut short.
  Files files(folder, name);
  if (!there(files.next_shown) || there(files.next_key) || !there(files.key)) return {};
  RD_TRY(std::string key, read_file(files.key));
  RD_TRY(std::string next, read_file(files.next_shown));
  if (!of_one_key(name, next, key)) return {};
  return rename(files.next_shown, files.shown);
}

Result<void> begin_rotation(const std::string& folder, std::string_view name) {
  RD_TRY(FolderLock lock, FolderLock::take(folder));
  RD_TRYV(complete_switch(folder, name));
  RD_TRY(RotationPhase phase, phase_of(folder, name));
  RD_TRY(std::string external, why_external(folder, name));
  if (!external.empty()) {
    return bad_request(
        fmt::format("{} is not rotated here; {}. Whoever made that file replaces it, and the server reads "
                    "it again",
                    name, external));
  }
  if (phase == RotationPhase::Trusted)
    return bad_request(fmt::format("a rotation of {} has begun already: `advance` or `cancel` it", name));
  if (phase == RotationPhase::Switched)
    return bad_request(fmt::format("the last rotation of {} is not finished: `finish` it first", name));
  Files files(folder, name);
  if (name == kServiceAccountKey) {
    std::string key = generate_key();
    RD_TRY(std::string public_key, public_key_of(key));
    RD_TRYV(write_file(files.next_key, key, 0600));
    return write_file(files.next_shown, public_key, 0644);
  }
  RD_TRY(std::string old, read_file(files.shown));
  RD_TRY(Certificate certificate, parse_certificate(old));
  RD_TRY(KeyPair made, make_ca(certificate.subject.common_name, kCaLifetime));
  RD_TRYV(write_file(files.next_key, made.private_key_pem, 0600));
  return write_file(files.next_shown, made.certificate_pem, 0644);
}

Result<void> advance_rotation(const std::string& folder, std::string_view name) {
  RD_TRY(FolderLock lock, FolderLock::take(folder));
  RD_TRYV(complete_switch(folder, name));
  RD_TRY(RotationPhase phase, phase_of(folder, name));
  if (phase == RotationPhase::None)
    return bad_request(fmt::format("no rotation of {} is under way: `begin` it first", name));
  if (phase == RotationPhase::Switched) return bad_request(fmt::format("{} has been switched: `finish` it", name));
  Files files(folder, name);
  RD_TRY(std::string old, read_file(files.shown));
  RD_TRYV(write_file(files.previous, old, 0644));
  RD_TRYV(rename(files.next_key, files.key));
  return rename(files.next_shown, files.shown);
}

Result<void> finish_rotation(const std::string& folder, std::string_view name) {
  RD_TRY(FolderLock lock, FolderLock::take(folder));
  RD_TRYV(complete_switch(folder, name));
  RD_TRY(RotationPhase phase, phase_of(folder, name));
  if (phase != RotationPhase::Switched)
    return bad_request(fmt::format("{} has not been switched: nothing to finish", name));
  return remove(Files(folder, name).previous);
}

Result<void> cancel_rotation(const std::string& folder, std::string_view name) {
  RD_TRY(FolderLock lock, FolderLock::take(folder));
  RD_TRYV(complete_switch(folder, name));
  RD_TRY(RotationPhase phase, phase_of(folder, name));
  if (phase != RotationPhase::Trusted)
    return bad_request(fmt::format("no rotation of {} is in its first phase: nothing to cancel", name));
  Files files(folder, name);
  // What is trusted goes first: a key alone does nothing.
  RD_TRYV(remove(files.next_shown));
  return remove(files.next_key);
}

}  // namespace redoubt::pki
