#include "apiserver/proxy/backend_trust.h"

#include <fmt/format.h>

#include "apiserver/proxy/limits.h"
#include "schema/k8s/core_v1.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

namespace {

std::string annotation(const std::map<std::string, std::string>& all, std::string_view name) {
  auto it = all.find(std::string(name));
  return it == all.end() ? std::string() : it->second;
}

Error unusable(std::string_view name, std::string_view value, std::string_view why) {
  return Error(Status(502, "", fmt::format("annotation {}=\"{}\": {}", name, value, why)));
}

Result<std::string> certificates_in(std::string_view value, std::string pem) {
  if (pem.size() > kMaxTrustBytes) return unusable(kProxyCaAnnotation, value, "is too large");
  if (pem.find("-----BEGIN CERTIFICATE-----") == std::string::npos)
    return unusable(kProxyCaAnnotation, value, "holds no PEM certificate");
  return pem;
}

Result<std::string> authority(const std::string& value, std::string_view ns, const TrustSources& sources) {
  constexpr std::string_view kConfigMap = "configmap/", kBundle = "clustertrustbundle/";
  if (value == "cluster") return certificates_in(value, sources.cluster_ca_pem);
  if (value.starts_with(kConfigMap)) {
    std::string_view rest = std::string_view(value).substr(kConfigMap.size());
    size_t hash = rest.find('#');
    std::string_view name = rest.substr(0, hash);
    std::string key = hash == std::string_view::npos ? "ca.crt" : std::string(rest.substr(hash + 1));
    auto json = sources.find("configmaps", ns, name);
    if (!json) return unusable(kProxyCaAnnotation, value, fmt::format("no such ConfigMap in namespace {}", ns));
    RD_TRY(auto map, schema::from_json<k8s::core::v1::ConfigMap>(*json));
    auto it = map.data.find(key);
    if (it == map.data.end())
      return unusable(kProxyCaAnnotation, value, fmt::format("the ConfigMap has no key \"{}\"", key));
    return certificates_in(value, it->second);
  }
  if (value.starts_with(kBundle)) {
    auto json = sources.find("clustertrustbundles", "", std::string_view(value).substr(kBundle.size()));
    if (!json) return unusable(kProxyCaAnnotation, value, "no such ClusterTrustBundle");
    schema::Arena arena;
    RD_TRY(schema::Value bundle, schema::parse_json(*json, arena));
    return certificates_in(value, std::string(bundle.get({"spec", "trustBundle"}).as_string()));
  }
  return unusable(kProxyCaAnnotation, value, "is none of configmap/NAME#KEY, clustertrustbundle/NAME, cluster");
}

}  // namespace

Result<std::optional<BackendTrust>> trust_of(const std::map<std::string, std::string>& annotations, std::string_view ns,
                                             const TrustSources& sources) {
  std::string named = annotation(annotations, kProxyCaAnnotation);
  if (named.empty()) return std::optional<BackendTrust>();
  BackendTrust out;
  out.source = named;
  RD_TRY(out.ca_pem, authority(named, ns, sources));
  out.server_name = annotation(annotations, kProxyServerNameAnnotation);
  std::string client = annotation(annotations, kProxyClientCertificateAnnotation);
  if (client.empty()) return std::optional(std::move(out));
  constexpr std::string_view kSecret = "secret/";
  if (!client.starts_with(kSecret))
    return unusable(kProxyClientCertificateAnnotation, client, "is not of the form secret/NAME");
  auto json = sources.find("secrets", ns, std::string_view(client).substr(kSecret.size()));
  if (!json)
    return unusable(kProxyClientCertificateAnnotation, client, fmt::format("no such Secret in namespace {}", ns));
  RD_TRY(auto secret, schema::from_json<k8s::core::v1::Secret>(*json));
  auto certificate = secret.data.find("tls.crt"), key = secret.data.find("tls.key");
  if (secret.type != "kubernetes.io/tls" || certificate == secret.data.end() || key == secret.data.end())
    return unusable(kProxyClientCertificateAnnotation, client, "is no Secret of type kubernetes.io/tls");
  out.certificate_pem = certificate->second.bytes;
  out.private_key_pem = key->second.bytes;
  return std::optional(std::move(out));
}

}  // namespace redoubt::apiserver
