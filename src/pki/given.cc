#include "pki/given.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <filesystem>

#include "pki/openssl_ptr.h"

namespace redoubt::pki {

namespace {

// Bits of a key's mode that must not be set. A leaf's key may be its service's group's (Debian: ssl-cert); who reads an
// authority's makes himself whoever he likes.
constexpr mode_t kLeafKeyForbids = 0007, kAuthorityKeyForbids = 0077;
constexpr std::chrono::minutes kProbeLives{5};

Result<std::string> read_given(const std::string& flag, const std::string& file) {
  auto text = read_file(file);
  if (!text) return bad_request(fmt::format("{}: {}", flag, text.error().message()));
  return text;
}

Result<std::string> read_key(const std::string& flag, const std::string& file, mode_t forbidden) {
  struct stat info{};
  if (::stat(file.c_str(), &info) == 0 && (info.st_mode & forbidden) != 0) {
    return bad_request(
        fmt::format("{}: others than its owner may read the key {} (mode {:04o}): `chmod 600` it, and "
                    "think of it as known to whoever could",
                    flag, file, info.st_mode & 07777));
  }
  return read_given(flag, file);
}

Result<void> check_time(const Certificate& certificate, const std::string& flag, const std::string& file) {
  if (certificate.not_after <= now())
    return bad_request(fmt::format("{}: the certificate {} (\"{}\") expired at {}", flag, file,
                                   certificate.subject.common_name, format_rfc3339(certificate.not_after)));
  if (certificate.not_before > now())
    return bad_request(fmt::format("{}: the certificate {} (\"{}\") is not valid before {}", flag, file,
                                   certificate.subject.common_name, format_rfc3339(certificate.not_before)));
  return {};
}

Result<KeyPair> load_pair(const GivenFile& given, mode_t forbidden) {
  KeyPair out;
  RD_TRY(out.certificate_pem, read_given(given.certificate_flag, given.certificate_file));
  RD_TRY(out.private_key_pem, read_key(given.key_flag, given.key_file, forbidden));
  auto certificate = parse_certificate(out.certificate_pem);
  if (!certificate)
    return bad_request(fmt::format("{}: {} holds no PEM certificate", given.certificate_flag, given.certificate_file));
  if (!public_key_of(out.private_key_pem)) {
    return bad_request(
        fmt::format("{}: {} holds no PEM private key, or one with a passphrase", given.key_flag, given.key_file));
  }
  if (!belongs_together(out)) {
    return bad_request(fmt::format("{} is not the certificate of the key {} ({}, {})", given.certificate_file,
                                   given.key_file, given.certificate_flag, given.key_flag));
  }
  return out;
}

std::vector<std::string> to_der(std::string_view pem) {
  std::vector<std::string> out;
  auto bio = bio_over(pem);
  while (Ptr<X509> certificate{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    unsigned char* der = nullptr;
    int size = i2d_X509(certificate.get(), &der);
    if (size > 0) out.emplace_back(reinterpret_cast<char*>(der), static_cast<size_t>(size));
    OPENSSL_free(der);
  }
  ERR_clear_error();
  return out;
}

// What the authority would sign, to see what becomes of it.
Result<std::vector<std::string>> probe(const KeyPair& signer, Usage usage) {
  Template wanted;
  wanted.subject.common_name = "probe";
  wanted.usages = {usage};
  wanted.lifetime = kProbeLives;
  RD_TRY(KeyPair made, issue(signer, wanted));
  std::vector<std::string> chain = to_der(made.certificate_pem);
  for (std::string& above : to_der(signer.certificate_pem)) chain.push_back(std::move(above));
  return chain;
}

std::string absolute(const std::string& file) {
  std::error_code error;
  auto path = std::filesystem::absolute(file, error);
  return error || file.empty() ? file : path.lexically_normal().string();
}

std::string note_path(const std::string& folder) {
  return folder + "/given";
}

}  // namespace

const GivenFile* find_given(const Given& given, std::string_view name) {
  auto it = given.find(name);
  return it == given.end() ? nullptr : &it->second;
}

Result<KeyPair> load_given_leaf(const GivenFile& given) {
  RD_TRY(KeyPair pair, load_pair(given, kLeafKeyForbids));
  RD_TRY(Certificate certificate, parse_certificate(pair.certificate_pem));
  RD_TRYV(check_time(certificate, given.certificate_flag, given.certificate_file));
  return pair;
}

Result<KeyPair> load_given_authority(const GivenFile& given, Usage usage) {
  RD_TRY(KeyPair pair, load_pair(given, kAuthorityKeyForbids));
  bool first = true;
  for (const Certificate& certificate : parse_certificates(pair.certificate_pem)) {
    if (!certificate.is_ca) {
      return bad_request(fmt::format("{}: the certificate \"{}\" in {} is no authority's: it may not sign others",
                                     given.certificate_flag, certificate.subject.common_name, given.certificate_file));
    }
    // One that is on its way out may have ended; nothing of it is taken any more.
    if (first) RD_TRYV(check_time(certificate, given.certificate_flag, given.certificate_file));
    first = false;
  }
  auto unusable = [&](const Status& why) {
    return bad_request(fmt::format("{}: {} can't be used: what it signs is refused ({})", given.certificate_flag,
                                   given.certificate_file, why.message()));
  };
  auto chain = probe(pair, usage);
  if (!chain) return unusable(chain.error());
  RD_TRY(auto trust, TrustBundle::from_pem(pair.certificate_pem));
  if (auto taken = trust->verify(*chain, usage); !taken) return unusable(taken.error());
  return pair;
}

Result<std::string> load_given_key(const GivenFile& given) {
  return read_key(given.key_flag, given.key_file, kAuthorityKeyForbids);
}

Result<std::string> load_given_bundle(const GivenFile& given) {
  RD_TRY(std::string pem, read_given(given.certificate_flag, given.certificate_file));
  if (parse_certificates(pem).empty())
    return bad_request(fmt::format("{}: {} holds no PEM certificate", given.certificate_flag, given.certificate_file));
  return pem.ends_with('\n') ? pem : pem + "\n";
}

bool signs_for_clients_of(const KeyPair& signer, std::string_view roots) {
  auto chain = probe(signer, Usage::ServerAuth);
  auto trust = TrustBundle::from_pem(roots);
  return chain && trust && (*trust)->verify(*chain, Usage::ServerAuth);
}

std::string with_root(std::string_view chain_pem, std::string_view roots) {
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----", kEnd = "-----END CERTIFICATE-----";
  std::string out(chain_pem);
  size_t last = chain_pem.rfind(kBegin);
  if (last == std::string_view::npos) return out;
  if (!out.ends_with('\n')) out += '\n';
  while (true) {
    size_t begin = roots.find(kBegin), end = roots.find(kEnd, begin);
    if (begin == std::string_view::npos || end == std::string_view::npos) return out;
    std::string_view one = roots.substr(begin, end + kEnd.size() - begin);
    roots.remove_prefix(end + kEnd.size());
    if (chain_pem.find(one) == std::string_view::npos && is_signed_by(chain_pem.substr(last), one))
      return out + std::string(one) + "\n";
  }
}

Result<Certificate> verify_serving_chain(std::string_view chain_pem, std::string_view roots) {
  RD_TRY(auto trust, TrustBundle::from_pem(roots));
  return trust->verify(to_der(chain_pem), Usage::ServerAuth);
}

Result<void> note_given(const std::string& folder, const Given& given) {
  std::string text;
  for (const auto& [name, g] : given) {
    for (const std::string& file : {g.certificate_file, g.key_file}) {
      if (file.find_first_of("\t\n") != std::string::npos)
        return bad_request(fmt::format("{}: a file's name may hold no tab and no end of line",
                                       g.certificate_flag.empty() ? g.key_flag : g.certificate_flag));
    }
    text += fmt::format("{}\t{}\t{}\t{}\t{}\n", name, g.certificate_flag, absolute(g.certificate_file), g.key_flag,
                        absolute(g.key_file));
  }
  auto there = read_file(note_path(folder));
  if (there && *there == text) return {};
  if (!there && text.empty()) return {};
  return write_file(note_path(folder), text, 0600);
}

Result<Given> recall_given(const std::string& folder) {
  auto text = read_file(note_path(folder));
  if (!text && text.error().is("NotFound")) return Given{};
  if (!text) return Error(text.error());
  Given out;
  std::string_view rest = *text;
  while (!rest.empty()) {
    size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    std::vector<std::string> fields;
    while (true) {
      size_t tab = line.find('\t');
      fields.emplace_back(line.substr(0, tab));
      if (tab == std::string_view::npos) break;
      line.remove_prefix(tab + 1);
    }
    if (fields.size() != 5) return bad_request(fmt::format("{} is damaged: restart the server", note_path(folder)));
    out[fields[0]] = {fields[1], fields[2], fields[3], fields[4]};
  }
  return out;
}

}  // namespace redoubt::pki
