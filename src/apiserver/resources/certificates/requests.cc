// CertificateSigningRequests: what may be asked for, and that what was decided stays decided.
#include <set>

#include "apiserver/resources/kinds.h"
#include "base/encoding.h"
#include "pki/certificate.h"

namespace redoubt::apiserver {

namespace {

// "example.com/signer-name": a domain and a path. The signer of the beta API has no place in this one.
void validate_signer_name(std::string_view name, Causes& causes) {
  if (name.empty()) return required(causes, "spec.signerName");
  if (name == "kubernetes.io/legacy-unknown")
    return invalid_value(causes, "spec.signerName", fmt::format("\"{}\"", name),
                         "the legacy signerName is not allowed via this API version");
  size_t slash = name.find('/');
  bool fits =
      slash != std::string_view::npos && slash > 0 && slash + 1 < name.size() && name.size() <= 571 &&
      name.substr(0, slash).find('.') != std::string_view::npos &&
      name.substr(0, slash).find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-") == std::string_view::npos &&
      name.find('/', slash + 1) == std::string_view::npos;
  if (!fits)
    invalid_value(causes, "spec.signerName", fmt::format("\"{}\"", name),
                  "must be a fully qualified domain and path of the form 'example.com/signer-name'");
}

void validate_usages(const Value& usages, Causes& causes) {
  static const std::set<std::string_view> kKnown = {"signing",
                                                    "digital signature",
                                                    "content commitment",
                                                    "key encipherment",
                                                    "key agreement",
                                                    "data encipherment",
                                                    "cert sign",
                                                    "crl sign",
                                                    "encipher only",
                                                    "decipher only",
                                                    "any",
                                                    "server auth",
                                                    "client auth",
                                                    "code signing",
                                                    "email protection",
                                                    "s/mime",
                                                    "ipsec end system",
                                                    "ipsec tunnel",
                                                    "ipsec user",
                                                    "timestamping",
                                                    "ocsp signing",
                                                    "microsoft sgc",
                                                    "netscape sgc"};
  if (usages.empty()) return required(causes, "spec.usages", "usages are required");
  std::set<std::string_view> seen;
  size_t i = 0;
  for (const Value& one : schema::items(usages)) {
    std::string path = fmt::format("spec.usages[{}]", i++);
    if (!kKnown.contains(one.as_string())) {
      invalid_value(causes, path, fmt::format("\"{}\"", one.as_string()), "is no usage of a key");
    } else if (!seen.insert(one.as_string()).second) {
      add_cause(causes, "FieldValueDuplicate", path, fmt::format("Duplicate value: \"{}\"", one.as_string()));
    }
  }
}

bool has_condition(const Value& csr, std::string_view type) {
  for (const Value& one : schema::items(csr.get({"status", "conditions"}))) {
    if (one.get({"type"}).as_string() == type) return true;
  }
  return false;
}

void validate_conditions(const Value& conditions, Causes& causes) {
  bool approved = false, denied = false;
  size_t i = 0;
  for (const Value& one : schema::items(conditions)) {
    std::string path = fmt::format("status.conditions[{}]", i++);
    std::string_view type = one.get({"type"}).as_string(), status = one.get({"status"}).as_string();
    if (type.empty()) required(causes, path + ".type");
    if (status.empty()) required(causes, path + ".status");
    bool decides = type == "Approved" || type == "Denied" || type == "Failed";
    if (decides && !status.empty() && status != "True") not_supported(causes, path + ".status", status, {"True"});
    approved = approved || type == "Approved";
    denied = denied || type == "Denied";
    if (approved && denied && (type == "Approved" || type == "Denied"))
      invalid_value(causes, path + ".type", fmt::format("\"{}\"", type),
                    "Approved and Denied conditions are mutually exclusive");
  }
}

}  // namespace

KindHooks csr_hooks() {
  KindHooks hooks;
  hooks.spec_bumps_generation = false;
  hooks.fields = [](const Value& csr) {
    return SelectableFields{{"spec.signerName", std::string(csr.get({"spec", "signerName"}).as_string())}};
  };
  hooks.field_labels = {"spec.signerName"};
  hooks.validate = [](const Value& csr, Causes& causes) {
    std::string_view request = csr.get({"spec", "request"}).as_string();
    if (request.empty()) {
      required(causes, "spec.request");
    } else {
      auto pem = base64_decode(request);
      auto parsed = pem ? pki::parse_request(*pem) : Error(bad_request("not base64"));
      if (!parsed) invalid_value(causes, "spec.request", "<bytes>", parsed.error().message());
    }
    validate_signer_name(csr.get({"spec", "signerName"}).as_string(), causes);
    validate_usages(csr.get({"spec", "usages"}), causes);
    if (Value seconds = csr.get({"spec", "expirationSeconds"}); seconds.is_int() && seconds.as_int() < 600)
      invalid_value(causes, "spec.expirationSeconds", std::to_string(seconds.as_int()),
                    "may not specify a duration less than 600 seconds (10 minutes)");
    validate_conditions(csr.get({"status", "conditions"}), causes);
  };
  hooks.validate_update = [](const Value& csr, const Value& old, Causes& causes) {
    immutable(causes, csr.get({"spec"}), old.get({"spec"}), "spec");
    // What was decided stays decided, and what was issued stays issued.
    for (const char* type : {"Approved", "Denied", "Failed"}) {
      if (has_condition(old, type) && !has_condition(csr, type))
        add_cause(causes, "FieldValueForbidden", "status.conditions",
                  fmt::format("Forbidden: updates may not remove a condition of type \"{}\"", type));
    }
    std::string_view issued = old.get({"status", "certificate"}).as_string();
    if (!issued.empty())
      immutable(causes, csr.get({"status", "certificate"}), old.get({"status", "certificate"}), "status.certificate");
    std::string_view certificate = csr.get({"status", "certificate"}).as_string();
    if (issued.empty() && !certificate.empty()) {
      auto pem = base64_decode(certificate);
      if (!pem || pki::parse_certificates(*pem).empty())
        invalid_value(causes, "status.certificate", "<certificate data>", "must contain one or more PEM blocks");
    }
  };
  return hooks;
}

}  // namespace redoubt::apiserver
