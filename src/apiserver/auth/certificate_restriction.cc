#include "apiserver/auth/certificate_restriction.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.h"
#include "pki/certificate.h"

namespace redoubt::apiserver {

namespace {

using schema::Value;

// `signers` by the signer's own name, or by DOMAIN/* for all of a domain.
std::vector<Attributes> as_signer(std::string_view verb, std::string_view signer) {
  Attributes a;
  a.verb = verb;
  a.api_group = "certificates.k8s.io";
  a.api_version = "*";
  a.resource = "signers";
  a.name = signer;
  std::vector<Attributes> out = {a};
  a.name = fmt::format("{}/*", signer.substr(0, signer.find('/')));
  out.push_back(std::move(a));
  return out;
}

// The conditions that approval decides, in order.
bool same_decisions(const Value& a, const Value& b) {
  auto decisions = [](const Value& object) {
    std::vector<Value> out;
    for (const Value& condition : schema::items(object.get({"status", "conditions"}))) {
      std::string_view type = condition.get({"type"}).as_string();
      if (type == "Approved" || type == "Denied") out.push_back(condition);
    }
    return out;
  };
  auto x = decisions(a), y = decisions(b);
  return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const Value& l, const Value& r) { return l.equals(r); });
}

}  // namespace

NeededRight certificate_restriction(std::string_view subresource, const Value& object, const Value& old) {
  if (object.is_null()) return {};
  if (old.is_null()) {
    if (object.get({"spec", "signerName"}).as_string() != "kubernetes.io/kube-apiserver-client") return {};
    auto pem = base64_decode(object.get({"spec", "request"}).as_string());
    auto request = pem ? pki::parse_request(*pem) : bad_request("not base64");
    if (!request) return {fmt::format("unable to parse the certificate request: {}", request.error().message()), {}};
    const auto& groups = request->subject.organizations;
    if (std::find(groups.begin(), groups.end(), "system:masters") == groups.end()) return {};
    return {"use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed", {}};
  }
  // What was asked, and by whom, stays as it was recorded.
  if (!object.get({"spec"}).equals(old.get({"spec"})))
    return {"the spec of a certificate request can't be changed", {}};
  std::string_view signer = old.get({"spec", "signerName"}).as_string();
  if (subresource == "approval")
    return {fmt::format("user not permitted to approve requests with signerName \"{}\"", signer),
            as_signer("approve", signer)};
  if (!same_decisions(object, old)) return {"only the approval subresource approves and denies", {}};
  if (subresource == "status") {
    Value now = object.get({"status"}), before = old.get({"status"});
    if (now.get({"certificate"}).equals(before.get({"certificate"})) &&
        now.get({"conditions"}).equals(before.get({"conditions"})))
      return {};
    return {fmt::format("user not permitted to sign requests with signerName \"{}\"", signer),
            as_signer("sign", signer)};
  }
  return {};
}

}  // namespace redoubt::apiserver
