// Keys and certificates that an administrator gives by files, in place of what the server would make itself: external
// authorities, the secure port's certificate, the server's own towards kubelets and aggregated servers.
//
// Whoever made them renews them; a running server reads them again when they change. Nothing here is ever renewed,
// rotated or written by the server. Which files were given is noted in the pki folder, so that `redoubt certs` knows it
// too. Blocking; any thread.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "pki/certificate.h"

namespace redoubt::pki {

struct GivenFile {
  std::string certificate_flag, certificate_file;
  std::string key_flag, key_file;  // empty for what has no key
  bool operator==(const GivenFile&) const = default;
};
// By name: the leaves "apiserver", "apiserver-kubelet-client", "front-proxy-client"; the authorities below; and "sa",
// a key alone.
using Given = std::map<std::string, GivenFile, std::less<>>;

inline constexpr std::string_view kClientSigner = "client-signer";                   // of people and programs
inline constexpr std::string_view kKubeletClientSigner = "kubelet-client-signer";    // of kubelets, as clients
inline constexpr std::string_view kKubeletServingSigner = "kubelet-serving-signer";  // of kubelets, as servers
inline constexpr std::string_view kRootCa = "root-ca";                               // no key: whom clients trust

// The file of a name; null when it was not given.
const GivenFile* find_given(const Given& given, std::string_view name);

// A leaf and its key. BadRequest names flag and file: unreadable, no PEM, not of one key, expired, or a key that
// everybody may read.
Result<KeyPair> load_given_leaf(const GivenFile& file);
// An authority and its key. The file's first certificate signs; further ones are trusted beside it, for as long as it
// is being replaced. Besides the above it must be able to sign for `usage`, and only its owner may read the key.
Result<KeyPair> load_given_authority(const GivenFile& file, Usage usage);
// A key without a certificate, which only its owner may read.
Result<std::string> load_given_key(const GivenFile& file);
// Certificates without a key.
Result<std::string> load_given_bundle(const GivenFile& file);
// Whether a client that trusts `roots` would take a server for real whose certificate `signer` has signed.
bool signs_for_clients_of(const KeyPair& signer, std::string_view roots);
// The chain (PEM, leaf first) with the root that its last certificate is of, where `roots` holds it.
std::string with_root(std::string_view chain_pem, std::string_view roots);
// Whether the chain (PEM, leaf first) is a server's that a client with these roots takes; else in Go's words why not.
Result<Certificate> verify_serving_chain(std::string_view chain_pem, std::string_view roots);

// Notes what was given, for recall_given().
Result<void> note_given(const std::string& folder, const Given& given);
Result<Given> recall_given(const std::string& folder);

}  // namespace redoubt::pki
