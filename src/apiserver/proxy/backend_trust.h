// Whom the API server's proxies believe behind https: what the Pod, Service or Node says in its annotations.
//
//   redoubt.io/proxy-ca: configmap/NAME#KEY | clustertrustbundle/NAME | cluster
//   redoubt.io/proxy-server-name: NAME                 the name that the certificate must carry
//   redoubt.io/proxy-client-certificate: secret/NAME   a kubernetes.io/tls Secret that the API server presents
//
// ConfigMaps and Secrets are those of the object's own namespace (a Node's: kube-system). The client certificate is
// presented only to a server that was verified.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"

namespace redoubt::apiserver {

inline constexpr std::string_view kProxyCaAnnotation = "redoubt.io/proxy-ca";
inline constexpr std::string_view kProxyServerNameAnnotation = "redoubt.io/proxy-server-name";
inline constexpr std::string_view kProxyClientCertificateAnnotation = "redoubt.io/proxy-client-certificate";

struct BackendTrust {
  std::string source;  // the annotation's value, for messages
  std::string ca_pem;
  std::string server_name;  // empty: the default of what is reached
  std::string certificate_pem, private_key_pem;
};

struct TrustSources {
  // The stored JSON of an object of that storage resource ("configmaps"), or NotFound. Any thread.
  std::function<Result<Bytes>(std::string_view resource, std::string_view ns, std::string_view name)> find;
  std::string cluster_ca_pem;
};

// Nothing when the annotations name no authority; an error when what they name is not there or holds no certificate:
// then nothing is connected to.
Result<std::optional<BackendTrust>> trust_of(const std::map<std::string, std::string>& annotations, std::string_view ns,
                                             const TrustSources& sources);

}  // namespace redoubt::apiserver
