// A node's certificates and its trust, kept up to date while it runs.
//
// Client and serving certificate are renewed at a random point between 70 and 90 % of their life, as upstream, and at
// once when the cluster's authority was replaced (ConfigMap kube-public/cluster-info, read over the connection that the
// present authority vouches for). Users are told and take the new for later connections; none is dropped, nothing is
// restarted. What the node holds is written on its Node (annotations redoubt.dev/...), so that `redoubt certs
// rotate-ca` can tell when the next phase may begin. Belongs to one loop.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "base/event.h"
#include "client/client.h"
#include "client/informer.h"
#include "kubelet/node/certificate_request.h"
#include "kubelet/node/identity.h"
#include "schema/k8s/core_v1.h"

namespace redoubt::kubelet {

// Annotations of a Node, hashes ("sha256:HEX", comma-separated) of authorities' keys.
inline constexpr std::string_view kTrustedRootsAnnotation = "redoubt.dev/trusted-roots";
inline constexpr std::string_view kClientIssuerAnnotation = "redoubt.dev/client-certificate-issuer";
inline constexpr std::string_view kServingIssuerAnnotation = "redoubt.dev/serving-certificate-issuer";
// The public keys of the node's sshd, a line "TYPE BASE64" each.
inline constexpr std::string_view kSshHostKeysAnnotation = "redoubt.dev/ssh-host-keys";

// When to renew: `fraction` (0.7 to 0.9) of the certificate's life.
Timestamp rotation_deadline(const pki::Certificate& certificate, double fraction);

class Rotation {
 public:
  struct Users {
    std::function<void(const pki::KeyPair&)> client;   // a new client certificate
    std::function<void(const pki::KeyPair&)> serving;  // the first, or a new, serving certificate
    std::function<void(const std::string&)> roots;     // the authorities of the API server, PEM
    std::function<void(const std::string&)> callers;   // of whoever calls the kubelet's API with a certificate, PEM
  };
  Rotation(client::Client& api, Options options, NodeIdentity identity, Users users);
  // Until cancelled. The node's object is there.
  Task<void> run();
  // False when there was none within `timeout`: it waits for a person then, and comes later.
  Task<bool> wait_serving(std::chrono::milliseconds timeout);

 private:
  Task<void> keep(NodeCertificate which);
  Task<void> report();
  CertificateWish wish(NodeCertificate which) const;
  bool is_due(NodeCertificate which) const;
  const std::string& bundle_of(NodeCertificate which) const;
  // The authority of the cluster that signs now; empty while it is not known.
  std::string signer_of(NodeCertificate which) const;
  std::string issuer_hash(NodeCertificate which) const;
  void cluster_info_changed(const k8s::core::v1::ConfigMap& map);

  struct Kept {
    pki::KeyPair pair;
    pki::Certificate certificate;
    Timestamp deadline{};
    bool valid() const { return !pair.certificate_pem.empty(); }
  };
  void take(NodeCertificate which, pki::KeyPair pair);
  Kept& kept(NodeCertificate which) { return which == NodeCertificate::Client ? client_ : serving_; }
  const Kept& kept(NodeCertificate which) const { return which == NodeCertificate::Client ? client_ : serving_; }

  client::Client& api_;
  const Options options_;
  Users users_;
  std::string roots_;       // the authorities of the API server
  std::string kubelet_ca_;  // of kubelets' serving certificates
  std::string client_ca_;   // of the API server's clients; empty: roots_ (a server that doesn't say)
  Kept client_, serving_;
  client::Informer<k8s::core::v1::ConfigMap> cluster_info_;
  Event changed_;  // of roots, or of a certificate
  Event has_serving_;
};

}  // namespace redoubt::kubelet
